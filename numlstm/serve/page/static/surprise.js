// A text coloured by surprise, that is, by how little the model expected each token. The steps, in bits, are those of
// `numlstm score`. The exact figure is shown for the token under the pointer or selected with the arrow keys.

import { h } from "./elements.js";
import { brief, chance, t, token } from "./words.js";

const STEPS = [1, 2, 3, 4, 6, 8, 11]; // bits where the next colour begins
const MUCH = 4; // bits; the up and down keys stop at tokens with at least this surprise

const bits = (logprob) => -logprob / Math.LN2;

/** Return the colour index of a token with this log-probability; 0 is none. */
export const shade = (logprob) => STEPS.filter((step) => bits(logprob) >= step).length;

/** Create the element of a token: {text, logprob, top: [[text, logprob], ...]}. */
export function marked(each) {
  // A line break needs a visible sign to show its colour.
  const lineEnd = each.text === "\n" ? h("u", { "aria-hidden": "true" }, "↵") : null;
  const made = h("i", { class: `s${shade(each.logprob)}` }, lineEnd, each.text);
  made.token = each;
  return made;
}

/** Return the description of a token. */
export function told(each) {
  const text = t("surprise.token", {
    token: token(each.text),
    chance: chance(each.logprob),
    bits: brief(bits(each.logprob)),
  });
  const likelier = each.top.filter(([name]) => name !== each.text).slice(0, 3);
  const others = likelier.map(([name, logprob]) => `${token(name)} ${chance(logprob)}`).join(", ");
  return others ? `${text} ${t("surprise.others", { others })}` : text;
}

/** Draw the legend of the colours. */
export function drawLegend(place) {
  const items = STEPS.map((low, n) => {
    const [from, to] = [2 ** -low, 2 ** -(STEPS[n + 1] ?? 99)].map(Math.log);
    const text =
      n + 1 < STEPS.length ? `${chance(from)} – ${chance(to)}` : t("surprise.below", { chance: chance(from) });
    return h("li", {}, h("i", { class: `s${n + 1}`, "aria-hidden": "true" }, "a"), text);
  });
  place.replaceChildren(
    h("p", { id: "legend-title" }, t("surprise.legend")),
    h(
      "ul",
      { "aria-labelledby": "legend-title" },
      h("li", {}, h("i", { class: "s0", "aria-hidden": "true" }, "a"), t("surprise.above")),
      ...items,
    ),
    h("p", { class: "help" }, t("surprise.help")),
  );
}

/** Let the pointer and the arrow keys select a token in `text`; its description is shown in `readout`. */
export function readable(text, readout) {
  let at = null;
  const choose = (found, scroll) => {
    if (!found?.token) return;
    at?.classList.remove("at");
    at = found;
    at.classList.add("at");
    readout.textContent = told(at.token);
    if (scroll) at.scrollIntoView({ block: "nearest" });
  };
  const tokens = () => [...text.querySelectorAll("i")];
  const move = (step, fits) => {
    const all = tokens();
    let n = all.indexOf(at) + step;
    while (all[n] && !fits(all[n])) n += step;
    choose(all[n], true);
  };
  const much = (each) => bits(each.token.logprob) >= MUCH;
  const deeds = {
    ArrowRight: () => move(1, () => true),
    ArrowLeft: () => move(-1, () => true),
    ArrowDown: () => move(1, much),
    ArrowUp: () => move(-1, much),
    Home: () => choose(tokens()[0], true),
    End: () => choose(tokens().at(-1), true),
  };
  text.addEventListener("pointerover", (event) => choose(event.target.closest("i"), false));
  text.addEventListener("focus", () => choose(at?.isConnected ? at : tokens()[0], false));
  text.addEventListener("keydown", (event) => {
    if (!deeds[event.key] || event.ctrlKey || event.altKey || event.metaKey || !tokens().length) return;
    event.preventDefault();
    deeds[event.key]();
  });
}

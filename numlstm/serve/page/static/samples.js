// The samples written during training, one per temperature, for the selected epoch or the newest.

import { h } from "./elements.js";
import { brief, t, whole } from "./words.js";

let chosen = null; // the step whose samples are shown; null: the newest
let drawn = "";

/** Draw the samples of a history into an element. */
export function drawSamples(history, place) {
  const steps = [...new Set(history.samples.map((sample) => sample.step))];
  if (!steps.includes(chosen)) chosen = null;
  const shownStep = chosen ?? steps.at(-1);
  const state = JSON.stringify([
    document.documentElement.lang,
    steps,
    shownStep,
    history.samples.length,
    history.start?.time,
  ]);
  if (state === drawn && place.childElementCount) return;
  drawn = state;
  if (!steps.length) return place.replaceChildren(h("p", { class: "empty" }, t("samples.none")));
  const epochs = new Map(history.epochs.map((epoch) => [epoch.step, epoch.epoch]));
  const name = (step) =>
    epochs.has(step) ? t("samples.epoch", { n: brief(epochs.get(step)) }) : t("samples.step", { n: whole(step) });
  const select = h(
    "select",
    {
      id: "sample-step",
      onchange: () => {
        chosen = Number(select.value) === steps.at(-1) ? null : Number(select.value);
        drawSamples(history, place);
      },
    },
    ...steps.toReversed().map((step) => h("option", { value: step, selected: step === shownStep }, name(step))),
  );
  const focused = document.activeElement?.id === "sample-step";
  place.replaceChildren(
    h("div", { class: "together" }, h("label", { for: "sample-step" }, t("samples.after")), select),
    h("div", { class: "samples" }, ...history.samples.filter((sample) => sample.step === shownStep).map(card)),
  );
  if (focused) select.focus();
}

function card(sample) {
  return h(
    "figure",
    {},
    h("figcaption", {}, t("temperature.at", { n: brief(sample.temperature) })),
    h("blockquote", { class: "written" }, h("span", { class: "prompt" }, sample.prompt), sample.text),
  );
}

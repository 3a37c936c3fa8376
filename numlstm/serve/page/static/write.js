// The view for writing: the form, and one sheet or two side by side.

import { favourite, longest, models, readModels } from "./catalogue.js";
import { trouble } from "./dialogs.js";
import { $, h, shown } from "./elements.js";
import { Sheet } from "./sheet.js";
import { drawLegend } from "./surprise.js";
import { brief, t } from "./words.js";

// The other sampling options: the API's field, and how to parse the input.
const DRAWING = [
  ["top_p", number],
  ["top_k", number],
  ["min_p", number],
  ["repetition_penalty", number],
  ["stop", unescaped],
];
const USUAL = { top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1, stop: "" };
const voices = [
  { model: "", temperature: 0.6 },
  { model: "", temperature: 1 },
];
let sheets = [];

/** Parse a number. Anything else is sent as it is, and the server's error explains it. */
function number(typed) {
  return Number.isFinite(Number(typed)) ? Number(typed) : typed;
}

/** Replace the escapes \n, \t and \\. */
function unescaped(text) {
  return text.replace(/\\([nt\\])/g, (_, letter) => ({ n: "\n", t: "\t", "\\": "\\" })[letter]);
}

const active = () => voices.slice(0, $("beside").checked ? 2 : 1);

function option(model, chosen) {
  const text = model.problem ? t("model.broken", { name: model.id }) : model.id;
  return h("option", { value: model.id, selected: model.id === chosen, disabled: Boolean(model.problem) }, text);
}

function voice(each, n) {
  const two = active().length > 1;
  const heat = h("output", { for: `heat-${n}` }, brief(each.temperature));
  const slider = h("input", {
    id: `heat-${n}`,
    type: "range",
    min: 0,
    max: 2,
    step: 0.05,
    value: each.temperature,
    "aria-describedby": "heat-help",
    oninput: () => {
      each.temperature = Number(slider.value);
      heat.textContent = brief(each.temperature);
    },
  });
  const select = h(
    "select",
    {
      id: `model-${n}`,
      onchange: () => {
        each.model = select.value;
      },
    },
    ...models.map((model) => option(model, each.model)),
  );
  return h(
    "fieldset",
    { class: "voice" },
    h("legend", { class: two ? "" : "unseen" }, t(two ? `voice.${n}` : "voice")),
    h("div", { class: "field" }, h("label", { for: `model-${n}` }, t("write.model")), select),
    h("div", { class: "field heat" }, h("label", { for: `heat-${n}` }, t("write.temperature")), slider, heat),
  );
}

function drawVoices() {
  const first = favourite()?.id ?? "";
  const gone = (each) => models.length && !models.some((model) => model.id === each.model);
  for (const each of voices) if (gone(each)) each.model = first;
  const focus = document.activeElement?.id;
  $("voices").replaceChildren(
    ...active().map(voice),
    h("p", { class: "help", id: "heat-help" }, t("write.temperature.help")),
  );
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
}

function drawDrawing() {
  const before = Object.fromEntries(
    [...$("drawing").querySelectorAll("input")].map((each) => [
      each.name,
      each.type === "checkbox" ? each.checked : each.value,
    ]),
  );
  const field = (name) =>
    h(
      "div",
      { class: "field" },
      h("label", { for: `draw-${name}` }, t(`drawing.${name}`)),
      h("input", {
        id: `draw-${name}`,
        name,
        inputmode: name === "stop" ? "text" : "decimal",
        placeholder: USUAL[name],
        value: before[name] ?? "",
        "aria-describedby": `draw-${name}-help`,
      }),
      h("p", { class: "help", id: `draw-${name}-help` }, t(`drawing.${name}.help`)),
    );
  const unknown = h("input", { type: "checkbox", name: "drop_unknown", checked: before.drop_unknown === true });
  $("drawing").replaceChildren(
    ...DRAWING.map(([name]) => field(name)),
    h(
      "div",
      { class: "field flag" },
      h("label", { class: "check" }, unknown, h("span", {}, t("drawing.drop_unknown"))),
      h("p", { class: "help" }, t("drawing.drop_unknown.help")),
    ),
  );
}

function drawSheets() {
  while (sheets.length < active().length) sheets.push(new Sheet(keepSeed));
  for (const left of sheets.splice(active().length)) left.stop();
  $("sheets").replaceChildren(...sheets.map((sheet) => sheet.element));
  $("sheets").classList.toggle("two", sheets.length > 1);
  $("write").classList.toggle("two", sheets.length > 1);
}

function draw() {
  drawVoices();
  drawDrawing();
  drawSheets();
  for (const sheet of sheets) sheet.draw();
  drawLegend($("legend"));
  shown($("legend"), $("coloured").checked);
  drawButtons();
}

function drawButtons() {
  const writing = sheets.some((sheet) => sheet.writing);
  $("halt").disabled = !writing;
  $("again").disabled = writing || !sheets.some((sheet) => sheet.asked);
  $("go").disabled = !models.length;
}

function keepSeed(seed) {
  $("seed").value = seed;
  $("seed").focus();
}

/** Return the fields of a completion request from the form, except model and temperature. */
function wanted(seed) {
  const asked = { prompt: $("prompt").value, max_tokens: Number($("length").value || 400), seed };
  for (const [name, read] of DRAWING) {
    const typed = $(`draw-${name}`).value;
    if (typed !== "") asked[name] = read(typed);
  }
  if ($("drawing").querySelector("[name=drop_unknown]").checked) asked.drop_unknown = true;
  return asked;
}

const newSeed = () => Math.floor(Math.random() * 1e6);

async function write(seed) {
  trouble(null);
  const asked = wanted(seed);
  const each = active();
  const writing = sheets.map((sheet, n) => sheet.write({ ...asked, ...each[n] }, $("coloured").checked));
  drawButtons();
  if (document.activeElement === $("again")) $("halt").focus();
  if (window.matchMedia("(max-width: 800px)").matches) $("sheets").scrollIntoView({ block: "start" });
  await Promise.all(writing);
  const halted = document.activeElement === $("halt") || document.activeElement === document.body;
  drawButtons();
  if (halted && !$("again").disabled) $("again").focus({ preventScroll: true });
}

function go(event) {
  event.preventDefault();
  const typed = $("seed").value.trim();
  if (typed && !/^\d{1,18}$/.test(typed)) {
    trouble(t("write.seed.wrong", { seed: typed }));
    $("seed").focus();
    return;
  }
  write(typed ? Number(typed) : newSeed());
}

/** Colour the texts. A text written without probabilities is written again with the same seed. */
function colour() {
  shown($("legend"), $("coloured").checked);
  for (const sheet of sheets) {
    if ($("coloured").checked && sheet.plain && !sheet.weighed && !sheet.writing)
      sheet.write(sheet.asked, true).then(drawButtons);
    sheet.text.classList.toggle("pale", !$("coloured").checked);
  }
  drawButtons();
}

/** Set up the view. */
export function start() {
  $("write-form").addEventListener("submit", go);
  $("again").addEventListener("click", () => write(newSeed()));
  $("halt").addEventListener("click", () => sheets.forEach((sheet) => sheet.stop()));
  $("beside").addEventListener("change", draw);
  $("coloured").addEventListener("change", colour);
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("write-form").requestSubmit();
  });
  document.addEventListener("models", () => {
    drawVoices();
    drawButtons();
  });
  document.addEventListener("language", draw);
  document.addEventListener("server", () => {
    $("length").max = longest();
  });
  document.addEventListener("back", () => readModels({ quiet: true }).catch(() => {}));
  readModels().catch(trouble);
}

/** Show the view, selecting the named model if there is one. */
export async function show(name) {
  draw();
  if (!name) return;
  const known = () => models.some((model) => model.id === name);
  if (models.length && !known()) await readModels().catch(trouble); // a job may have saved it since
  if (models.length && !known()) return trouble(t("write.none", { model: name }));
  voices[0].model = name;
  drawVoices();
}

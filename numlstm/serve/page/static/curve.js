// The chart of the training and validation losses, in nats per token, over steps. It is drawn to fit the available
// width. A slider below shows each value for pointer, touch and keyboard, and a table lists the epochs.

import { $, h, shown, svg } from "./elements.js";
import { brief, loss, t, whole } from "./words.js";

const HEIGHT = 300;
const EDGE = { left: 46, right: 12, top: 12, bottom: 40 };
let history = null;
let wanted = false; // true if a redraw is scheduled
let scale = null;
let chosen = null; // index of the selected point; null: the newest
let pointer = null; // last x position of the pointer
let pointed = false; // true if the pointer selected the point, false if the slider did

const box = h("div", { class: "plot" });
const slider = h("input", { type: "range", min: 0, value: 0, class: "scrub" });
const told = h("output", { class: "told" });
const key = h("p", { class: "key" });
const table = h("table");
const none = h("p", { class: "empty" });

/** Return about `count` round values between `low` and `high`. */
export function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
    found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** Return the range of losses to draw. The high losses of the first steps may lie above it. */
export function range(training, validation) {
  const settled = training.slice(Math.floor(training.length / 12)).map((point) => point.smooth);
  const all = [...settled, ...validation.map((point) => point.loss)];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const margin = Math.max(0.05, 0.08 * (high - low));
  return [Math.max(0, low - margin), high + margin];
}

function scales(points, validation) {
  const width = Math.max(240, box.clientWidth);
  const last = Math.max(points.at(-1)?.step ?? 1, validation.at(-1)?.step ?? 1);
  const full = Math.max(history.length, last);
  const right = [32, 16, 8, 4, 2, 1].map((part) => Math.ceil(full / part)).find((each) => each >= last);
  const [low, high] = range(points, validation);
  const x = (step) => EDGE.left + ((width - EDGE.left - EDGE.right) * step) / right;
  const y = (value) => EDGE.top + ((HEIGHT - EDGE.top - EDGE.bottom) * (high - value)) / (high - low);
  return { width, right, low, high, x, y };
}

const path = (points, of) =>
  points
    .map((point, n) => `${n ? "L" : "M"}${scale.x(point.step).toFixed(1)},${scale.y(of(point)).toFixed(1)}`)
    .join("");

function axes() {
  const { width, right, low, high, x, y } = scale;
  const made = [];
  for (const value of ticks(low, high, 7)) {
    made.push(svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }));
    made.push(svg("text", { class: "tick", x: EDGE.left - 8, y: y(value) + 4, "text-anchor": "end" }, brief(value)));
  }
  for (const value of ticks(0, right, width < 480 ? 4 : 8)) {
    if (value !== Math.round(value)) continue;
    made.push(
      svg(
        "text",
        { class: "tick", x: x(value), y: HEIGHT - 22, "text-anchor": value ? "middle" : "start" },
        whole(value),
      ),
    );
  }
  made.push(
    svg("text", { class: "axis", x: width - EDGE.right, y: HEIGHT - 4, "text-anchor": "end" }, t("curve.steps")),
  );
  return made;
}

function plot(points, validation) {
  const { width } = scale;
  const inside = svg(
    "clipPath",
    { id: "inside" },
    svg("rect", { x: EDGE.left, y: 0, width: width - EDGE.left, height: HEIGHT - EDGE.bottom + 4 }),
  );
  return svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      role: "img",
      "aria-label": summary(points, validation),
    },
    svg("defs", {}, inside),
    ...axes(),
    svg(
      "g",
      { "clip-path": "url(#inside)" },
      svg("path", { class: "raw", d: path(points, (point) => point.loss) }),
      svg("path", { class: "training", d: path(points, (point) => point.smooth), "data-points": points.length }),
      svg("path", { class: "validation", d: path(validation, (point) => point.loss) }),
      ...validation.map((point) =>
        svg("circle", {
          class: "dot",
          cx: scale.x(point.step),
          cy: scale.y(point.loss),
          r: validation.length > 60 ? 2 : 3.5,
        }),
      ),
      svg("g", { id: "cursor" }),
    ),
  );
}

function summary(points, validation) {
  const [first, last] = [points[0], points.at(-1)];
  if (!first) return t("curve.title");
  const end = validation.at(-1);
  return (
    t("curve.summary", { first: loss(first.loss), last: loss(last.smooth), step: whole(last.step) }) +
    (end ? ` ${t("curve.summary.validation", { loss: loss(end.loss) })}` : "")
  );
}

function rows() {
  const head = ["curve.epoch", "curve.step", "curve.training", "curve.validation", "curve.bits"];
  const cells = (epoch) => [
    brief(epoch.epoch),
    whole(epoch.step),
    epoch.loss === null ? "–" : loss(epoch.loss),
    epoch.val_loss === null ? "–" : loss(epoch.val_loss),
    epoch.val_bits === null ? "–" : loss(epoch.val_bits),
  ];
  table.replaceChildren(
    h("thead", {}, h("tr", {}, ...head.map((each) => h("th", { scope: "col" }, t(each))))),
    h("tbody", {}, ...history.epochs.map((epoch) => h("tr", {}, ...cells(epoch).map((text) => h("td", {}, text))))),
  );
}

/** Move the mark to the slider's position, and show the values there. */
function point(points, validation) {
  const n = chosen === null ? points.length - 1 : Math.min(chosen, points.length - 1);
  const here = points[n];
  slider.max = points.length - 1;
  slider.value = n;
  const thumb = 8; // half the thumb's width, so that the thumb is centred below its point
  slider.style.marginLeft = `${scale.x(points[0].step) - thumb}px`;
  slider.style.width = `${Math.max(48, scale.x(points.at(-1).step) - scale.x(points[0].step) + 2 * thumb)}px`;
  const known = validation.filter((each) => each.step <= here.step).at(-1);
  const text =
    t("curve.at", { step: whole(here.step), epoch: brief(here.epoch), loss: loss(here.smooth) }) +
    (known ? ` · ${t("curve.at.validation", { loss: loss(known.loss) })}` : "");
  told.textContent = text;
  slider.setAttribute("aria-valuetext", text);
  const mark = svg(
    "g",
    { id: "cursor" },
    svg("line", { x1: scale.x(here.step), x2: scale.x(here.step), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }),
    svg("circle", { cx: scale.x(here.step), cy: scale.y(here.smooth), r: 4 }),
  );
  $("cursor").replaceWith(mark);
}

function draw() {
  wanted = false;
  if (!history || !$("curve").isConnected || !box.isConnected) return;
  const [points, validation] = [history.training(), history.validation()];
  for (const each of [box, slider, told, key]) shown(each, points.length > 0);
  shown(none, !points.length);
  none.textContent = t("curve.none");
  rows();
  if (!points.length || !box.clientWidth) return;
  scale = scales(points, validation);
  box.replaceChildren(plot(points, validation));
  point(points, validation);
}

function follow(event) {
  const moved = event.clientX !== pointer; // browsers also send events for a resting pointer after each redraw
  pointer = event.clientX;
  if (!moved || !scale || !history.steps.length) return;
  const points = history.training();
  const at =
    ((event.clientX - box.getBoundingClientRect().left - EDGE.left) / (scale.width - EDGE.left - EDGE.right)) *
    scale.right;
  pointed = true;
  chosen = points.reduce(
    (best, each, n) => (Math.abs(each.step - at) < Math.abs(points[best].step - at) ? n : best),
    0,
  );
  point(points, history.validation());
}

function words() {
  key.replaceChildren(
    h("span", { class: "training" }, t("curve.training")),
    h("span", { class: "validation" }, t("curve.validation")),
    h("span", { class: "unit" }, t("curve.unit")),
  );
  slider.setAttribute("aria-label", t("curve.slider"));
  $("curve").querySelector("summary").textContent = t("curve.table");
  redraw();
}

/** Redraw in the next frame. */
export function redraw() {
  if (!wanted) requestAnimationFrame(draw);
  wanted = true;
}

/** Show the chart of another run. */
export function showCurve(of) {
  [history, chosen] = [of, null];
  redraw();
}

/** Set up the chart. */
export function startCurve() {
  $("curve").append(
    key,
    box,
    slider,
    told,
    none,
    h(
      "details",
      { class: "values" },
      h("summary"),
      h(
        "div",
        { class: "wide", tabindex: 0, role: "region", "aria-labelledby": "values" },
        h("span", { id: "values", class: "unseen", "data-t": "curve.table" }),
        table,
      ),
    ),
  );
  slider.addEventListener("input", () => {
    const last = history.training().length - 1;
    chosen = Number(slider.value) >= last ? null : Number(slider.value);
    pointed = false;
    point(history.training(), history.validation());
  });
  box.addEventListener("pointermove", follow);
  box.addEventListener("pointerdown", follow);
  box.addEventListener("pointerleave", () => {
    if (pointed) chosen = null;
    redraw();
  });
  new ResizeObserver(redraw).observe(box);
  document.addEventListener("language", words);
}

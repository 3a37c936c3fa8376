// The page's texts in the reader's language, and its numbers. Knows nothing about what they are about.

import en from "./en.js";
import ko from "./ko.js";
import koOptions from "./ko-options.js";

const LANGUAGES = { en, ko: { ...koOptions, ...ko } };
let language = "en";

/** The language that is shown: "en" or "ko". */
export const current = () => language;

/** Take the language chosen by hand before, or that of the browser. */
export function firstLanguage() {
  const wanted = [localStorage.getItem("language"), ...navigator.languages].filter(Boolean);
  return wanted.map((each) => each.slice(0, 2)).find((each) => each in LANGUAGES) ?? "en";
}

/** Show the page in a language; views that draw themselves hear "language" on the document. */
export function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  translate(document);
  document.dispatchEvent(new CustomEvent("language"));
}

/** Fill the elements that name their text in `data-t`, `data-t-placeholder` or `data-t-aria-label`. */
export function translate(root) {
  for (const each of root.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
  for (const name of ["placeholder", "aria-label"]) {
    for (const each of root.querySelectorAll(`[data-t-${name}]`)) {
      each.setAttribute(name, t(each.getAttribute(`data-t-${name}`)));
    }
  }
}

/** Return a text by its key, with {name} replaced by the values given. */
export function t(key, values = {}) {
  const text = LANGUAGES[language][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Whether there is a text of that key in the language shown. */
export const has = (key) => key in LANGUAGES[language];

const format = (options) => (value) => new Intl.NumberFormat(language, options).format(value);
export const whole = format({ maximumFractionDigits: 0 });
const rough = format({ maximumSignificantDigits: 2 });
export const loss = format({ minimumFractionDigits: 3, maximumFractionDigits: 3 });
export const brief = format({ maximumFractionDigits: 2 });

/** A size in bytes, in words. */
export function size(bytes) {
  if (bytes < 1000) return t("bytes", { n: whole(bytes) });
  const [divisor, unit] = bytes < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${format({ maximumSignificantDigits: 3 })(bytes / divisor)} ${unit}`;
}

/** A probability, in words, from its logarithm. */
export function chance(logarithm) {
  const p = 100 * Math.exp(logarithm);
  return p >= 0.1
    ? `${format({ maximumSignificantDigits: p >= 10 ? 2 : 1 })(p)} %`
    : t("one.in", { n: rough(100 / p) });
}

/** A time in seconds, in words. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t("time.s", { s });
  if (s < 3600) return t("time.ms", { m: Math.floor(s / 60), s: s % 60 });
  return t("time.hm", { h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
}

/** When something was, from seconds since 1970. */
export const when = (seconds) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(seconds * 1000));

/** How a token is shown by its name: a space, a line's end, a tab and a part of a character by words, others in quotes. */
export function token(text) {
  const named = { "": "token.part", " ": "token.space", "\n": "token.newline", "\t": "token.tab" }[text];
  return named ? t(named) : `‘${text}’`;
}

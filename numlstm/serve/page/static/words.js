// The page's texts in the reader's language, and the formatting of numbers, sizes and times.

import en from "./en.js";
import ko from "./ko.js";
import koOptions from "./ko-options.js";

const LANGUAGES = { en, ko: { ...koOptions, ...ko } };
let language = "en";

/** Return the current language, "en" or "ko". */
export const current = () => language;

/** Return the language chosen earlier by the reader, or else the browser's. */
export function firstLanguage() {
  const wanted = [localStorage.getItem("language"), ...navigator.languages].filter(Boolean);
  return wanted.map((each) => each.slice(0, 2)).find((each) => each in LANGUAGES) ?? "en";
}

/** Show the page in a language, and dispatch "language" on the document so that views redraw. */
export function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  translate(document);
  document.dispatchEvent(new CustomEvent("language"));
}

/** Fill in elements whose text key is in `data-t`, `data-t-placeholder` or `data-t-aria-label`. */
export function translate(root) {
  for (const each of root.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
  for (const name of ["placeholder", "aria-label"]) {
    for (const each of root.querySelectorAll(`[data-t-${name}]`)) {
      each.setAttribute(name, t(each.getAttribute(`data-t-${name}`)));
    }
  }
}

/** Return a text by its key, with each {name} replaced by its value. */
export function t(key, values = {}) {
  const text = LANGUAGES[language][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Return true if the current language has a text with this key. */
export const has = (key) => key in LANGUAGES[language];

const format = (options) => (value) => new Intl.NumberFormat(language, options).format(value);
export const whole = format({ maximumFractionDigits: 0 });
const rough = format({ maximumSignificantDigits: 2 });
export const loss = format({ minimumFractionDigits: 3, maximumFractionDigits: 3 });
export const brief = format({ maximumFractionDigits: 2 });

/** Format a size in bytes. */
export function size(bytes) {
  if (bytes < 1000) return t("bytes", { n: whole(bytes) });
  const [divisor, unit] = bytes < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${format({ maximumSignificantDigits: 3 })(bytes / divisor)} ${unit}`;
}

/** Format a probability, given its natural logarithm. */
export function chance(logarithm) {
  const p = 100 * Math.exp(logarithm);
  return p >= 0.1
    ? `${format({ maximumSignificantDigits: p >= 10 ? 2 : 1 })(p)} %`
    : t("one.in", { n: rough(100 / p) });
}

/** Format a duration in seconds. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t("time.s", { s });
  if (s < 3600) return t("time.ms", { m: Math.floor(s / 60), s: s % 60 });
  return t("time.hm", { h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
}

/** Format a date and time, given in seconds since 1970. */
export const when = (seconds) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(seconds * 1000));

/** Format a token: a space, a line break, a tab and a part of a character by name, others in quotes. */
export function token(text) {
  const named = { "": "token.part", " ": "token.space", "\n": "token.newline", "\t": "token.tab" }[text];
  return named ? t(named) : `‘${text}’`;
}

// The training options as a form: the main ones first, the rest in groups.

import { current, has, t } from "./words.js";
import { h } from "./elements.js";

/** The main options, in display order. */
export const MAIN = ["layers", "epochs", "lr", "batch_size", "seq_len", "dropout", "level", "seed"];

function label(option) {
  const plain = option.name.replaceAll("_", " ");
  return has(`option.${option.name}`) ? t(`option.${option.name}`) : plain[0].toUpperCase() + plain.slice(1);
}

/** Return an option's default, in words. */
function usually(option) {
  return has(`default.${option.name}`) ? t(`default.${option.name}`) : option.default;
}

function help(option) {
  const text = has(`help.${option.name}`) ? t(`help.${option.name}`) : option.help;
  const known = current() !== "ko" || /^[\d.,-]*\w*$/.test(option.default) || has(`default.${option.name}`);
  const usual = usually(option);
  return usual && known ? `${text} ${t("default", { value: usual })}` : text;
}

function input(option, id, before) {
  const attributes = { id, name: option.name, "aria-describedby": `${id}-help` };
  if (option.kind === "flag") return h("input", { ...attributes, type: "checkbox", checked: before === true });
  if (option.choices) {
    const usual = option.default.split(",")[0];
    const words = option.choices.filter((word) => word !== usual);
    return h(
      "select",
      attributes,
      h("option", { value: "" }, usual),
      ...words.map((word) => h("option", { value: word, selected: word === before }, word)),
    );
  }
  const mode = { int: "numeric", float: "decimal" }[option.kind];
  const brief = usually(option).length <= 14 ? usually(option) : t("automatic");
  return h("input", {
    ...attributes,
    type: "text",
    inputmode: mode,
    title: mode && option.least !== null && option.most !== null ? t("range", option) : undefined,
    placeholder: brief,
    value: before ?? "",
    spellcheck: "false",
  });
}

function field(option, before) {
  const id = `option-${option.name}`;
  const explained = h("p", { class: "help", id: `${id}-help` }, help(option));
  if (option.kind === "flag") {
    return h(
      "div",
      { class: "field flag" },
      h("label", { class: "check" }, input(option, id, before), h("span", {}, label(option))),
      explained,
    );
  }
  return h("div", { class: "field" }, h("label", { for: id }, label(option)), input(option, id, before), explained);
}

/** Draw the main and the other options into two elements, keeping what was typed. */
export function drawOptions(options, main, rest) {
  const before = given(main, rest);
  const make = (option) => field(option, before[option.name]);
  const byName = Object.fromEntries(options.map((option) => [option.name, option]));
  main.replaceChildren(...MAIN.filter((name) => name in byName).map((name) => make(byName[name])));
  const others = options.filter((option) => !MAIN.includes(option.name));
  const groups = [...new Set(others.map((option) => option.group))];
  rest.replaceChildren(
    ...groups.map((group) =>
      h(
        "fieldset",
        { class: "group" },
        h("legend", {}, has(`group.${group}`) ? t(`group.${group}`) : group),
        h("div", { class: "options" }, ...others.filter((option) => option.group === group).map(make)),
      ),
    ),
  );
}

/** Return the options that were set, by name; valid numbers are converted. */
export function given(...places) {
  const found = {};
  for (const each of places.flatMap((place) => [...place.querySelectorAll("input, select")])) {
    if (each.type === "checkbox" ? each.checked : each.value.trim()) found[each.name] = value(each);
  }
  return found;
}

function value(each) {
  if (each.type === "checkbox") return true;
  const typed = each.value.trim();
  return each.inputMode && Number.isFinite(Number(typed)) ? Number(typed) : typed;
}

/** Mark and focus the field that an error names, if there is one. */
export function blame(param) {
  const name = param?.split(".").pop();
  const field = document.getElementById({ model: "name", text: "text" }[name] ?? `option-${name}`);
  if (!field) return;
  field.closest("details")?.setAttribute("open", "");
  field.setAttribute("aria-invalid", "true");
  field.addEventListener("input", () => field.removeAttribute("aria-invalid"), { once: true });
  field.focus();
}

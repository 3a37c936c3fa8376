// Helpers to find and create elements.

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

function dress(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Create an element. Attributes such as `onclick` add listeners; text is never parsed as HTML. */
export const h = (tag, attributes = {}, ...children) => dress(document.createElement(tag), attributes, children);

/** Create an SVG element. */
export const svg = (tag, attributes = {}, ...children) =>
  dress(document.createElementNS(SVG, tag), attributes, children);

/** Show or hide an element. */
export function shown(element, yes) {
  element.hidden = !yes;
}

/** Replace an element's children; a focused child with `data-keep` keeps the focus. */
export function fill(element, children) {
  const keep =
    document.activeElement && element.contains(document.activeElement) && document.activeElement.dataset.keep;
  element.replaceChildren(...children);
  if (keep) element.querySelector(`[data-keep="${CSS.escape(keep)}"]`)?.focus();
}

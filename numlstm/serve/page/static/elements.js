// Elements of the page: found by id, made in code. Knows nothing about what they show.

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

/** Make an element; `onclick` and the like are listeners, text is never read as HTML. */
export const h = (tag, attributes = {}, ...children) => dress(document.createElement(tag), attributes, children);

/** Make an element of a drawing. */
export const svg = (tag, attributes = {}, ...children) =>
  dress(document.createElementNS(SVG, tag), attributes, children);

/** Show an element, or hide it. */
export function shown(element, yes) {
  element.hidden = !yes;
}

/** Replace an element's children, unless they would be the same: what has the focus keeps it. */
export function fill(element, children) {
  const keep =
    document.activeElement && element.contains(document.activeElement) && document.activeElement.dataset.keep;
  element.replaceChildren(...children);
  if (keep) element.querySelector(`[data-keep="${CSS.escape(keep)}"]`)?.focus();
}

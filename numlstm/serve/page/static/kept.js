// What was typed, kept in this tab when the page is loaded again. Knows nothing about what it is for.

import { $ } from "./elements.js";

const FIELDS = ["prompt", "length", "seed", "text"];

/** Put back what was typed before, as if it were typed now, and remember from here on. */
export function keepTyped() {
  const before = JSON.parse(sessionStorage.getItem("typed") ?? "{}");
  for (const [id, value] of Object.entries(before)) {
    $(id).value = value;
    $(id).dispatchEvent(new Event("input", { bubbles: true }));
  }
  window.addEventListener("pagehide", () => {
    const typed = FIELDS.filter((id) => $(id).value !== $(id).defaultValue).map((id) => [id, $(id).value]);
    try {
      sessionStorage.setItem("typed", JSON.stringify(Object.fromEntries(typed)));
    } catch {
      sessionStorage.removeItem("typed"); // too much for a browser to keep
    }
  });
}

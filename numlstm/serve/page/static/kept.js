// Keeps what was typed when the page is reloaded in the same tab.

import { $ } from "./elements.js";

const FIELDS = ["prompt", "length", "seed", "text"];

/** Restore what was typed before, firing "input" events, and save it when the page is left. */
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
      sessionStorage.removeItem("typed"); // too large for the browser's storage
    }
  });
}

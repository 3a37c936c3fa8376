// What the page says and asks: errors in one line, a yes or no, the key. Knows nothing about why.

import { Away, Unreadable } from "./api.js";
import { $, shown } from "./elements.js";
import { t } from "./words.js";

let lasting = false; // a line that stays until what it tells of is over

/** Show an error, or a text, in one line, or none with null. `stays` keeps it until another that stays replaces it. */
export function trouble(what, stays = false) {
  if (lasting && !stays) return;
  lasting = stays && what !== null;
  if (what instanceof Away || what?.name === "AbortError") return;
  const line = what instanceof Unreadable ? t("unreadable", { name: what.message }) : what?.message;
  $("trouble-text").textContent = line ?? what ?? "";
  shown($("trouble"), what !== null);
  shown($("trouble-close"), !lasting);
}

/** Tell those who listen to the page rather than look at it. */
export function say(text) {
  $("said").textContent = "";
  requestAnimationFrame(() => {
    $("said").textContent = text;
  });
}

$("trouble-close").addEventListener("click", () => trouble(null));

/** Open a dialog until one of its buttons closes it; returns what that button means, or null for Escape. */
function opened(dialog, first, answers) {
  return new Promise((resolve) => {
    const ending = new AbortController();
    const end = (answer) => {
      ending.abort();
      if (dialog.open) dialog.close();
      resolve(answer);
    };
    for (const [element, kind, answer] of answers) {
      element.addEventListener(
        kind,
        (event) => {
          event.preventDefault();
          const given = answer();
          if (given !== undefined) end(given);
        },
        { signal: ending.signal },
      );
    }
    dialog.addEventListener("close", () => end(null), { signal: ending.signal });
    dialog.showModal();
    first.focus();
  });
}

/** Ask before something is lost; `also` is a second question, in a box. Returns null, or whether it was ticked. */
export async function confirmed(title, text, action, also = "") {
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = action;
  $("ask-check-text").textContent = also;
  $("ask-check").checked = false;
  shown($("ask-also"), Boolean(also));
  return opened($("ask"), $("ask-no"), [
    [$("ask-no"), "click", () => null],
    [$("ask-yes"), "click", () => $("ask-check").checked],
  ]);
}

/** Ask for the key of the server; `line` says what was wrong with the one before. Returns it, or null. */
export async function askKey(line) {
  $("key-wrong").textContent = line;
  $("key-value").value = "";
  return opened($("key"), $("key-value"), [
    [$("key-no"), "click", () => null],
    [$("key-form"), "submit", () => $("key-value").value.trim() || undefined],
  ]);
}

/** Do something, show what goes wrong, and hold the button meanwhile; returns what it gave, undefined if it failed. */
export async function tried(button, action) {
  const was = document.activeElement === button;
  if (button) button.disabled = true;
  try {
    trouble(null);
    return await action();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    trouble(error);
    return undefined;
  } finally {
    if (button) button.disabled = false;
    if (was && document.activeElement === document.body) button.focus();
  }
}

/** Put text on the clipboard, also where the page is not served securely. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    const before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    before?.focus();
  }
  say(t("copied"));
}

// Messages and dialogs: one-line errors, a confirmation, and the request for the key.

import { Away, Unreadable } from "./api.js";
import { $, shown } from "./elements.js";
import { t } from "./words.js";

let lasting = false; // the current message stays until its cause is over

/** Show an error or a text in one line; null clears it. `stays` keeps it until another call with `stays`. */
export function trouble(what, stays = false) {
  if (lasting && !stays) return;
  lasting = stays && what !== null;
  if (what instanceof Away || what?.name === "AbortError") return;
  const line = what instanceof Unreadable ? t("unreadable", { name: what.message }) : what?.message;
  $("trouble-text").textContent = line ?? what ?? "";
  shown($("trouble"), what !== null);
  shown($("trouble-close"), !lasting);
}

/** Announce a text to screen readers. */
export function say(text) {
  $("said").textContent = "";
  requestAnimationFrame(() => {
    $("said").textContent = text;
  });
}

$("trouble-close").addEventListener("click", () => trouble(null));

/** Open a dialog until one of its buttons closes it; return that button's answer, or null for Escape. */
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

/** Ask for confirmation; `also` labels a checkbox. Return null if cancelled, else whether the checkbox is ticked. */
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

/** Ask for the server's key; `line` says what was wrong with the last one. Return the key, or null if cancelled. */
export async function askKey(line) {
  $("key-wrong").textContent = line;
  $("key-value").value = "";
  return opened($("key"), $("key-value"), [
    [$("key-no"), "click", () => null],
    [$("key-form"), "submit", () => $("key-value").value.trim() || undefined],
  ]);
}

/** Run an action with its button disabled, and show its errors; return its result, or undefined if it failed. */
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

/** Copy text to the clipboard, also if the page is not in a secure context. */
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

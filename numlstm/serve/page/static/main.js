// The page's entry point: router, language, theme and server status. The views are `write`, `train` with `job`, and
// `models`; each has show(argument), and listens for "language" and "back" events on the document.

import { setAsker } from "./api.js";
import { askKey, trouble, say } from "./dialogs.js";
import { $, shown } from "./elements.js";
import * as job from "./job.js";
import * as jobs from "./jobs.js";
import { keepTyped } from "./kept.js";
import * as models from "./models.js";
import { firstLanguage, speak, t } from "./words.js";
import * as train from "./train.js";
import * as write from "./write.js";

const VIEWS = { write, train, job, models };
let at = null;

function route(moved) {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = Object.hasOwn(VIEWS, name) ? name : "write";
  if (at && at !== view) VIEWS[at].hide?.();
  for (const each of Object.keys(VIEWS)) shown($(each), each === view);
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === (view === "job" ? "train" : view);
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  at = view;
  trouble(null);
  VIEWS[view].show(decoded(rest.join("/")));
  name_();
  if (moved) {
    window.scrollTo(0, 0);
    $(view).querySelector("h1").focus({ preventScroll: true });
  }
}

function decoded(argument) {
  try {
    return decodeURIComponent(argument);
  } catch {
    return argument; // invalid percent-encoding, as in an address typed by hand
  }
}

function name_() {
  const title = $(at).querySelector("h1").textContent;
  document.title = title ? `${title} · numlstm` : "numlstm";
}

function looks() {
  const theme = localStorage.getItem("theme") ?? "";
  $("theme").value = theme;
  document.documentElement.dataset.theme = theme;
  $("theme").addEventListener("change", () => {
    localStorage.setItem("theme", $("theme").value);
    document.documentElement.dataset.theme = $("theme").value;
  });
  $("language").addEventListener("change", () => {
    localStorage.setItem("language", $("language").value);
    speak($("language").value);
    name_();
  });
}

function watchServer() {
  document.addEventListener("away", () => trouble(t("away"), true));
  document.addEventListener("back", (event) => {
    trouble(null, true);
    if (!event.detail) say(t("back"));
  });
}

setAsker(askKey);
looks();
watchServer();
for (const view of Object.values(VIEWS)) view.start();
jobs.start();
keepTyped();
const language = firstLanguage();
$("language").value = language;
speak(language);
// A file dropped outside a drop area would replace the page.
for (const kind of ["dragover", "drop"]) {
  window.addEventListener(kind, (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
}
window.addEventListener("hashchange", () => route(true));
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("content").focus();
});
route(false);
document.body.classList.add("ready");

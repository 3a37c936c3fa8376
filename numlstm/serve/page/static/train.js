// The form that starts a training job: a text, a name, options.

import { call, checkReadable, put } from "./api.js";
import { corpora, freeCorpusName, freeModelName, models, readCorpora, readJobs, trains } from "./catalogue.js";
import { blame, drawOptions, given } from "./choices.js";
import { confirmed, say, tried, trouble } from "./dialogs.js";
import { $, h, shown } from "./elements.js";
import { size, t, whole } from "./words.js";

const MUCH = 2_000_000; // characters; a longer pasted text is uploaded as a file
let file = null; // the file that was picked or dropped
const sentAs = new WeakMap(); // corpus names of uploaded files, so that none is uploaded twice
let pasted = { text: null, file: null }; // a long pasted text, and the file it is uploaded as
let named = false; // true if the reader typed the name, false if it is only proposed
let options = [];

const source = () => document.querySelector("[name=source]:checked").value;

function drawSource() {
  shown($("own"), source() === "own");
  shown($("known"), source() === "corpus");
  shown($("text"), !file);
  shown($("picked"), Boolean(file));
  shown($("unpick"), Boolean(file));
  $("picked").textContent = file ? `${file.name} · ${size(file.size)}` : "";
  drawLength();
  drawCorpus();
  propose();
}

function drawLength() {
  const n = file ? file.size : $("text").value.length;
  const advice = !n ? "train.drop" : n < 2000 ? "train.tiny" : n < 100_000 ? "train.small" : "train.good";
  const count = n && !file ? `${t("train.characters", { n: whole(n) })} ` : "";
  $("text-help").textContent = count + t(advice);
}

function drawCorpora() {
  const before = $("corpus").value;
  const groups = [
    ["upload", "corpora.upload"],
    ["here", "corpora.here"],
    ["away", "corpora.away"],
  ];
  const group = (each) => (each.source === "upload" ? "upload" : each.here ? "here" : "away");
  $("corpus").replaceChildren(
    ...groups
      .map(([name, key]) => {
        const some = corpora.filter((each) => group(each) === name);
        const title = (each) => (each.title && each.title !== each.id ? `${each.id}: ${each.title}` : each.id);
        return some.length
          ? h(
              "optgroup",
              { label: t(key) },
              ...some.map((each) => h("option", { value: each.id, selected: each.id === before }, title(each))),
            )
          : null;
      })
      .filter(Boolean),
  );
  drawCorpus();
}

function drawCorpus() {
  const chosen = corpora.find((each) => each.id === $("corpus").value);
  shown($("forget"), chosen?.source === "upload");
  if (!chosen) return;
  const facts = [chosen.language, chosen.licence, chosen.bytes ? size(chosen.bytes) : null];
  if (!chosen.here) facts.push(t("corpora.fetched"));
  $("corpus-facts").textContent = facts.filter(Boolean).join(" · ");
}

/** Propose a name unless one was typed. */
function propose() {
  if (named) return;
  const stem = file ? file.name.replace(/\.[^.]*$/, "") : t("train.name.default");
  $("name").value = freeModelName(source() === "corpus" ? $("corpus").value : stem);
}

function take(taken) {
  file = taken ?? null;
  if (taken) document.querySelector("[name=source][value=own]").checked = true;
  drawSource();
}

function drop(event) {
  const dropped = event.dataTransfer.files[0];
  $("drop").classList.remove("over");
  if (!dropped) return; // dragged text: leave it to the textarea
  event.preventDefault();
  take(dropped);
}

/** Upload a file as a corpus, and return its name. */
async function upload(sent) {
  await checkReadable(sent);
  const before = sentAs.get(sent);
  if (corpora.some((corpus) => corpus.id === before)) return before;
  const name = freeCorpusName(sent.name.replace(/\.[^.]*$/, ""));
  const progress = $("sending");
  shown(progress, true);
  try {
    await put(`v1/corpora/${encodeURIComponent(name)}`, sent, "text/plain", (share) => {
      progress.value = share;
    });
  } finally {
    shown(progress, false);
  }
  sentAs.set(sent, name);
  await readCorpora().catch(trouble);
  return name;
}

async function textOf() {
  if (source() === "corpus") return { corpus: $("corpus").value };
  if (file) return { corpus: await upload(file) };
  const text = $("text").value;
  if (text.length > MUCH) {
    if (pasted.text !== text) pasted = { text, file: new File([text], $("name").value) };
    return { corpus: await upload(pasted.file) };
  }
  return { text };
}

async function begin(event) {
  event.preventDefault();
  if (source() === "own" && !file && !$("text").value.trim()) {
    trouble(t("train.empty"));
    $("text").focus();
    return;
  }
  const job = await tried($("begin"), async () => {
    const wanted = {
      model: $("name").value.trim(),
      ...(await textOf()),
      options: given($("main-options"), $("rest-options")),
    };
    return create(wanted);
  });
  if (!job) return;
  say(t("train.begun", { model: job.model }));
  named = false;
  readJobs().catch(trouble);
  location.hash = `#job/${encodeURIComponent(job.id)}`;
}

async function create(wanted) {
  const taken = models.find((model) => model.id === wanted.model && !model.shipped);
  if (taken) {
    const sure = await confirmed(
      t("train.replace.title", { model: wanted.model }),
      t("train.replace.text"),
      t("replace"),
    );
    if (sure === null) return null;
    wanted.overwrite = true;
  }
  try {
    return await call("POST", "v1/jobs", { json: wanted });
  } catch (error) {
    blame(error.param);
    throw error;
  }
}

async function forget() {
  const name = $("corpus").value;
  if ((await confirmed(t("train.forget.title", { name }), t("train.forget.text"), t("delete"))) === null) return;
  const gone = await tried($("forget"), () => call("DELETE", `v1/corpora/${encodeURIComponent(name)}`));
  if (gone) await readCorpora().catch(trouble);
}

async function read() {
  try {
    await Promise.all([readJobs(), readCorpora()]);
    if (options.length) return;
    options = (await call("GET", "v1/train/options")).data;
    drawOptions(options, $("main-options"), $("rest-options"));
  } catch (error) {
    trouble(error);
  }
}

function draw() {
  drawOptions(options, $("main-options"), $("rest-options"));
  drawCorpora();
  drawSource();
}

/** Set up the form. */
export function start() {
  for (const each of document.querySelectorAll("[name=source]")) each.addEventListener("change", drawSource);
  $("text").addEventListener("input", drawLength);
  $("corpus").addEventListener("change", drawSource);
  $("name").addEventListener("input", () => {
    named = $("name").value !== "";
  });
  $("pick").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    take($("file").files[0]);
    $("file").value = "";
  });
  $("unpick").addEventListener("click", () => {
    take(null);
    $("text").focus();
  });
  $("drop").addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  $("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
  $("drop").addEventListener("drop", drop);
  $("forget").addEventListener("click", forget);
  $("train-form").addEventListener("submit", begin);
  document.addEventListener("corpora", () => {
    drawCorpora();
    propose();
  });
  for (const kind of ["models", "jobs"]) document.addEventListener(kind, propose);
  document.addEventListener("language", draw);
  document.addEventListener("back", () => {
    if (!$("train").hidden) read();
  });
}

/** Show the form. */
export function show() {
  drawSource();
  if (trains()) read();
}

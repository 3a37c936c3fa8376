// The list of models: describe, write with, continue training, download, delete and upload.

import { call, headers, key, put, refusal } from "./api.js";
import { jobs, models, nameFrom, readModels, trains } from "./catalogue.js";
import { confirmed, say, tried, trouble } from "./dialogs.js";
import { $, fill, h, shown } from "./elements.js";
import { loss, size, t, whole } from "./words.js";

const file = (name) => `v1/models/${encodeURIComponent(name)}/file`;

function facts(model) {
  const layers = (model.layers ?? []).join(" · ");
  return [
    ["model.layers", layers],
    ["model.parameters", model.parameters ? whole(model.parameters) : ""],
    ["model.vocabulary", model.vocabulary ? t(`vocabulary.${model.level}`, { n: whole(model.vocabulary) }) : ""],
    ["model.loss", model.loss === null || model.loss === undefined ? "" : t("nats", { n: loss(model.loss) })],
    ["model.size", model.bytes ? size(model.bytes) : ""],
  ].filter(([, value]) => value);
}

function row(model) {
  const job = jobs.find((each) => each.model === model.id);
  const button = (text, action, kind) =>
    h(
      "button",
      {
        type: "button",
        class: "plain",
        "data-keep": `${kind} ${model.id}`,
        onclick: (event) => action(model, event.currentTarget),
        "aria-label": `${text}: ${model.id}`,
      },
      text,
    );
  return h(
    "li",
    { class: model.shipped ? "shipped" : "" },
    h(
      "div",
      { class: "what" },
      h("h3", {}, model.id, model.shipped ? h("span", { class: "tag" }, t("model.shipped")) : null),
      model.title ? h("p", {}, model.title) : null,
      model.problem
        ? h("p", { class: "bad" }, model.problem)
        : h(
            "dl",
            { class: "figures small" },
            ...facts(model).map(([name, value]) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, value))),
          ),
    ),
    h(
      "div",
      { class: "deeds" },
      model.problem
        ? null
        : h(
            "a",
            {
              class: "button",
              href: `#write/${encodeURIComponent(model.id)}`,
              "aria-label": `${t("model.write")}: ${model.id}`,
            },
            t("model.write"),
          ),
      job && trains()
        ? h(
            "a",
            {
              class: "button",
              href: `#job/${encodeURIComponent(job.id)}`,
              "aria-label": `${t("model.train")}: ${model.id}`,
            },
            t("model.train"),
          )
        : null,
      h(
        "a",
        {
          class: "button plain",
          href: file(model.id),
          download: `${model.id}.npz`,
          "data-keep": `take ${model.id}`,
          "aria-label": `${t("model.download")}: ${model.id}`,
          onclick: (event) => download(event, model),
        },
        t("model.download"),
      ),
      model.shipped || !trains() ? null : button(t("delete"), remove, "delete"),
    ),
  );
}

/** Download with the key, if there is one: a plain link would not send it. */
async function download(event, model) {
  if (!key()) return;
  event.preventDefault();
  await tried(null, async () => {
    const response = await fetch(file(model.id), { headers: headers() });
    if (!response.ok) throw await refusal(response.status, await response.text());
    const link = h("a", { href: URL.createObjectURL(await response.blob()), download: `${model.id}.npz` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}

async function remove(model, button) {
  if ((await confirmed(t("model.delete.title", { model: model.id }), t("model.delete.text"), t("delete"))) === null)
    return;
  const gone = await tried(button, () => call("DELETE", `v1/models/${encodeURIComponent(model.id)}`));
  if (!gone) return;
  await readModels().catch(trouble);
  say(t("model.deleted", { model: model.id }));
  $("models").querySelector("h1").focus();
}

async function upload(chosen) {
  if (!chosen) return;
  const name = nameFrom(chosen.name.replace(/\.npz$/i, ""), "model");
  const own = models.some((model) => model.id === name && !model.shipped);
  if (
    own &&
    (await confirmed(t("models.replace.title", { model: name }), t("models.replace.text"), t("replace"))) === null
  )
    return;
  shown($("uploading"), true);
  const made = await tried($("upload"), () =>
    put(`${file(name)}${own ? "?overwrite=true" : ""}`, chosen, "application/octet-stream", (share) => {
      $("uploading").value = share;
    }),
  );
  shown($("uploading"), false);
  if (!made) return;
  await readModels().catch(trouble);
  say(t("models.uploaded", { model: made.id }));
}

function draw() {
  fill($("model-list"), models.map(row));
  shown($("upload-form"), trains());
}

/** Set up the view. */
export function start() {
  $("upload").addEventListener("click", () => $("upload-file").click());
  $("upload-file").addEventListener("change", async () => {
    await upload($("upload-file").files[0]);
    $("upload-file").value = "";
  });
  $("upload-form").addEventListener("submit", (event) => event.preventDefault());
  $("upload-form").addEventListener("dragover", (event) => {
    event.preventDefault();
    $("upload-form").classList.add("over");
  });
  $("upload-form").addEventListener("dragleave", () => $("upload-form").classList.remove("over"));
  $("upload-form").addEventListener("drop", (event) => {
    event.preventDefault();
    $("upload-form").classList.remove("over");
    upload(event.dataTransfer.files[0]);
  });
  for (const kind of ["models", "jobs", "server", "language"]) document.addEventListener(kind, draw);
}

/** Show the view. */
export function show() {
  draw();
  readModels().catch(trouble);
}

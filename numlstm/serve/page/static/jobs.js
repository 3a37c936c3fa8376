// The list of training jobs, and the status of the running one in the header.

import { call } from "./api.js";
import { LIVE, isLive, jobs, readJobs, readModels, readServer, trains } from "./catalogue.js";
import { confirmed, say, tried, trouble } from "./dialogs.js";
import { $, fill, h, shown } from "./elements.js";
import { duration, loss, t, when, whole } from "./words.js";

let timer = 0;
let live = "";

/** Return a job's state in words. */
export function stateText(job) {
  if (job.state === "waiting" && job.place) return t("state.waiting.place", { n: job.place });
  if (job.state !== "running" || !job.steps) return t(`state.${job.state}`);
  const share = whole((100 * (job.step ?? 0)) / job.steps);
  return job.seconds_left === null || job.seconds_left === undefined
    ? t("state.share", { share })
    : t("state.share.left", { share, left: duration(job.seconds_left) });
}

function row(job) {
  const best = job.best_loss ?? job.val_loss;
  const facts = [
    job.corpus ?? t("jobs.pasted"),
    best === null || best === undefined ? null : t("jobs.loss", { loss: loss(best) }),
    when(job.created),
  ];
  return h(
    "li",
    { class: job.state },
    h(
      "div",
      { class: "what" },
      h("h3", {}, h("a", { href: `#job/${encodeURIComponent(job.id)}`, "data-keep": job.id }, job.model)),
      h("p", { class: "facts" }, facts.filter(Boolean).join(" · ")),
      job.error ? h("p", { class: "bad" }, job.error) : null,
    ),
    h(
      "div",
      { class: "state" },
      h("span", { class: `tag ${job.state}` }, stateText(job)),
      job.state === "running" && job.steps
        ? h("progress", { max: job.steps, value: job.step ?? 0, "aria-label": t("job.progress", { model: job.model }) })
        : null,
    ),
    h(
      "div",
      { class: "deeds" },
      h(
        "button",
        {
          type: "button",
          class: "plain",
          "data-keep": `delete ${job.id}`,
          "aria-label": t("jobs.delete", { model: job.model }),
          onclick: (event) => remove(job, event.currentTarget),
        },
        t("delete"),
      ),
    ),
  );
}

/** Delete a job after asking for confirmation; return true if it was deleted. */
export async function remove(job, button) {
  const also = await confirmed(
    t("jobs.delete.title", { model: job.model }),
    t(isLive(job) ? "jobs.delete.live" : "jobs.delete.text"),
    t("delete"),
    t("jobs.delete.also", { model: job.model }),
  );
  if (also === null) return false;
  const gone = await tried(button, () =>
    call("DELETE", `v1/jobs/${encodeURIComponent(job.id)}${also ? "?model=true" : ""}`),
  );
  if (!gone) return false;
  await Promise.all([readJobs(), readModels()]).catch(trouble);
  document.querySelector("main > section:not([hidden]) h1").focus();
  say(t("jobs.deleted", { model: job.model }));
  return true;
}

function draw() {
  fill($("jobs"), jobs.map(row));
  shown($("no-jobs"), !jobs.length);
  shown($("no-train"), !trains());
  for (const id of ["training", "train-lede"]) shown($(id), trains());
  drawRunning();
}

function drawRunning() {
  const running = jobs.find((job) => job.state === "running") ?? jobs.find((job) => LIVE.includes(job.state));
  shown($("running"), Boolean(running));
  if (!running) return;
  $("running").href = `#job/${encodeURIComponent(running.id)}`;
  const share = running.steps ? `${whole((100 * (running.step ?? 0)) / running.steps)} %` : "…";
  $("running").textContent = t("running", { model: running.model, share });
}

/** Read the models again if the set of live jobs has changed: there may be new ones. */
function notice() {
  const now = jobs
    .filter(isLive)
    .map((job) => job.id)
    .join();
  if (live && now !== live) readModels({ quiet: true }).catch(() => {});
  live = now;
}

async function look() {
  clearTimeout(timer);
  if (!document.hidden && trains()) await readJobs({ quiet: true }).catch(() => {});
  timer = setTimeout(look, jobs.some(isLive) ? 2000 : 10000);
}

/** Start polling the jobs. */
export function start() {
  document.addEventListener("jobs", () => {
    draw();
    notice();
  });
  for (const kind of ["language", "server"]) document.addEventListener(kind, draw);
  document.addEventListener("back", () => readJobs({ quiet: true }).catch(() => {}));
  document.addEventListener("visibilitychange", look);
  readServer().catch(trouble).finally(look);
}

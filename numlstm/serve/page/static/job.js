// The view of one training job: its progress, curve, samples and actions. While shown, it follows the job's events, and
// resumes after the last one when a lost connection is back.

import { Refused, away, call, events, pause, send } from "./api.js";
import { isLive, readJobs, readModels } from "./catalogue.js";
import { say, tried, trouble } from "./dialogs.js";
import { $, h, shown } from "./elements.js";
import { redraw, showCurve, startCurve } from "./curve.js";
import { History } from "./history.js";
import { remove, stateText } from "./jobs.js";
import { drawSamples } from "./samples.js";
import { brief, duration, loss, t, whole } from "./words.js";

let job = null;
let following = null; // AbortController of the event stream being followed
let history = new History();
let due = 0;

const url = (rest = "") => `v1/jobs/${encodeURIComponent(job.id)}${rest}`;

function figures() {
  const last = history.steps.at(-1);
  const known = (value, shape) => (value === null || value === undefined ? null : shape(value));
  const [step, steps] = [last?.step ?? job.step, job.steps ?? history.start?.steps];
  const epochs = job.epochs ? ` / ${brief(job.epochs)}` : "";
  const running = job.state === "running" || job.state === "stopping";
  return [
    ["figure.step", steps ? `${whole(step ?? 0)} / ${whole(steps)}` : null],
    ["figure.epoch", known(last?.epoch ?? job.epoch, (value) => `${brief(Math.floor(value * 10) / 10)}${epochs}`)],
    ["figure.training", known(last?.epoch_loss ?? job.loss, loss)],
    ["figure.validation", known(history.validation().at(-1)?.loss ?? job.val_loss, loss)],
    ["figure.best", known(job.best_loss ?? history.end?.best_loss, loss)],
    ["figure.speed", known(history.speed ?? job.tokens_per_second, (value) => t("per.second", { n: whole(value) }))],
    ["figure.left", running ? known(left(last, steps) ?? job.seconds_left, duration) : null],
    ["figure.parameters", known(history.start?.parameters, whole)],
  ];
}

/** Return the job with the figures of its last event. */
function now() {
  const last = history.steps.at(-1);
  const steps = job.steps ?? history.start?.steps;
  return last ? { ...job, step: last.step, steps, seconds_left: left(last, steps) } : job;
}

/** Return the seconds left at the pace of the last 50 steps. */
function left(last, steps) {
  const some = history.steps.slice(-50);
  const pace = (last?.run_seconds - some[0]?.run_seconds) / (last?.step - some[0]?.step);
  return steps && Number.isFinite(pace) ? (steps - last.step) * pace : null;
}

function draw() {
  if (!job) return;
  $("job-title").textContent = job.model;
  $("job-text").textContent = t("job.lede", { text: job.corpus ?? t("jobs.pasted") });
  shown($("job-error"), Boolean(job.error));
  $("job-error").textContent = job.error ?? "";
  const told = stateText(now());
  if ($("job-state").textContent !== told) $("job-state").textContent = told;
  $("job-progress").max = job.steps || 1;
  $("job-progress").value = history.steps.at(-1)?.step ?? job.step ?? 0;
  $("job-progress").setAttribute("aria-label", t("job.progress", { model: job.model }));
  $("job-figures").replaceChildren(
    ...figures()
      .filter(([, value]) => value !== null)
      .map(([name, value]) => h("div", {}, h("dt", {}, t(name)), h("dd", {}, value))),
  );
  deeds();
  redraw();
  drawSamples(history, $("samples"));
}

function deeds() {
  const running = isLive(job);
  shown($("job-stop"), running);
  $("job-stop").disabled = job.state === "stopping";
  shown($("job-more"), !running);
  $("job-epochs").placeholder = job.epochs ?? "";
  shown($("job-write"), history.epochs.length > 0 || job.state === "done" || job.state === "stopped");
  $("job-write").href = `#write/${encodeURIComponent(job.model)}`;
}

/** Schedule a redraw; events arrive faster than it is worth drawing. */
function drawSoon() {
  due ||= setTimeout(() => {
    due = 0;
    draw();
  }, 150);
}

function take(message) {
  const data = JSON.parse(message.data);
  if (message.event === "state") {
    const ended = job.state !== data.state && !isLive(data);
    job = data;
    if (ended) say(stateText(job));
    if (ended) Promise.all([readJobs(), readModels()]).catch(() => {});
  } else history.add(data);
  drawSoon();
}

/** Follow the events of the job until it ends or is no longer shown. */
async function follow(signal) {
  while (!signal.aborted) {
    try {
      const response = await send("GET", url(`/events?after=${history.after}`), { signal });
      for await (const message of events(response)) {
        if (signal.aborted) return;
        if (message.id !== null) history.after = Number(message.id);
        take(message);
      }
      if (!isLive(job)) break;
      await pause(500);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) return trouble(error);
      await away();
    }
  }
}

function watch() {
  following?.abort();
  following = new AbortController();
  follow(following.signal);
}

async function stop() {
  const answer = await tried($("job-stop"), () => call("POST", url("/stop")));
  if (answer) job = answer;
  draw();
}

async function resume(event) {
  event.preventDefault();
  const epochs = Number($("job-epochs").value);
  const options = epochs ? { epochs } : {};
  const answer = await tried($("job-resume"), () => call("POST", url("/resume"), { json: { options } }));
  if (!answer) return;
  job = answer;
  $("job-epochs").value = "";
  draw();
  readJobs().catch(trouble);
  watch();
}

/** Set up the view. */
export function start() {
  startCurve();
  $("job-stop").addEventListener("click", stop);
  $("job-actions").addEventListener("submit", resume);
  $("job-delete").addEventListener("click", async () => {
    if (await remove(job, $("job-delete"))) location.hash = "#train";
  });
  document.addEventListener("language", draw);
}

/** Show a job by its id. */
export async function show(id) {
  history = new History();
  job = { id };
  showCurve(history);
  for (const name of ["job-title", "job-text", "job-state"]) $(name).textContent = "";
  try {
    const found = await call("GET", url());
    if (job.id !== id) return;
    job = found;
    draw();
    document.title = `${job.model} · numlstm`;
    watch();
  } catch (error) {
    job = null;
    if (!(error instanceof Refused))
      document.addEventListener("back", () => location.hash === `#job/${id}` && show(id), { once: true });
    trouble(error);
  }
}

/** Stop following the job's events. */
export function hide() {
  following?.abort();
  job = null;
}

// The models, corpora and jobs on the server, as last read.
//
// Dispatches "models", "corpora", "jobs" and "server" on the document when they change.

import { call } from "./api.js";

export const models = [];
export const corpora = [];
export const jobs = [];
let server = { train: true, max_tokens: 4096 };

/** Return true if this server trains and allows changes. */
export const trains = () => server.train;

/** Return the maximum length of a text, in tokens. */
export const longest = () => server.max_tokens;

export const LIVE = ["waiting", "running", "stopping"];
export const isLive = (job) => LIVE.includes(job.state);

async function read(name, path, into, options) {
  const found = (await call("GET", path, options)).data;
  const same = JSON.stringify(found) === JSON.stringify(into);
  into.splice(0, into.length, ...found);
  if (!same || !found.length) document.dispatchEvent(new CustomEvent(name));
}

export const readModels = (options) => read("models", "v1/models", models, options);
export const readCorpora = (options) => read("corpora", "v1/corpora", corpora, options);

export const readJobs = (options) => read("jobs", "v1/jobs", jobs, options);

/** Read the server's limits. */
export async function readServer() {
  server = await call("GET", "health");
  document.dispatchEvent(new CustomEvent("server"));
}

/** Return the default model: the newest of the reader's own, else "shakespeare" or the first one that works. */
export function favourite() {
  const sound = models.filter((model) => !model.problem);
  const own = sound.filter((model) => !model.shipped).sort((a, b) => b.created - a.created);
  return own[0] ?? sound.find((model) => model.id === "shakespeare") ?? sound[0] ?? null;
}

/** Return the valid name nearest to a text. */
export function nameFrom(text, otherwise) {
  const name = text.normalize("NFC").replace(/[^\p{L}\p{N}_.-]+/gu, "-");
  return name.replace(/^[.-]+/, "").slice(0, 50).replace(/[.-]+$/, "") || otherwise;
}

function free(name, taken) {
  let found = name;
  for (let n = 2; taken.includes(found); n++) found = `${name}-${n}`;
  return found;
}

/** Return an unused model name, based on the wanted one. */
export function freeModelName(wanted) {
  return free(nameFrom(wanted, "mine"), [...models.map((model) => model.id), ...jobs.map((job) => job.model)]);
}

/** Return an unused corpus name, based on the wanted one. */
export function freeCorpusName(wanted) {
  return free(
    nameFrom(wanted, "text"),
    corpora.map((corpus) => corpus.id),
  );
}

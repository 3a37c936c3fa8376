// Requests to the server, below the page's own address, with the key if there is one. Knows nothing about the page.
//
// The document hears "away" when the server does not answer and "back" when it does again, or lets us in.

const KEY = "numlstm-key";
let asking = null; // the question for the key that is open, shared by all requests that wait for it
let askKey = async () => null; // set by whoever can ask: (line) => a key, or null
let absence = null; // settled when the server is back

/** The server said no: its status, its one line, the field that was wrong. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    Object.assign(this, { status, code: error.code, param: error.param });
  }
}

/** The server does not answer. */
export class Away extends Error {}

/** A file cannot be read: it is gone, has changed since it was picked, or is a folder. */
export class Unreadable extends Error {}

/** Say how the key is asked for. */
export const setAsker = (ask) => {
  askKey = ask;
};

/** The key, or null. */
export const key = () => sessionStorage.getItem(KEY);

export const headers = (more = {}) => (key() ? { ...more, Authorization: `Bearer ${key()}` } : more);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function wait() {
  document.dispatchEvent(new CustomEvent("away"));
  for (let ms = 500; ; ms = Math.min(4000, ms * 1.5)) {
    await pause(ms);
    try {
      if ((await fetch("health", { cache: "no-store" })).ok) break;
    } catch {
      /* still away */
    }
  }
  absence = null;
  document.dispatchEvent(new CustomEvent("back"));
}

/** Note that the server does not answer; the promise is kept when it does again. */
export function away() {
  absence ??= wait();
  return absence;
}

/** Return what an answer that says no means. */
export async function refusal(status, text) {
  try {
    return new Refused(status, JSON.parse(text).error);
  } catch {
    if (status >= 502 && status <= 504) return new Away(); // a proxy answers in its place
    return new Refused(status, { message: `HTTP ${status}` });
  }
}

/** Ask for the key, once for all who wait; returns whether there is another one now. */
export async function newKey(line) {
  asking ??= askKey(key() ? line : "");
  const given = await asking;
  asking = null;
  if (given === null) return false;
  if (given !== key()) sessionStorage.setItem(KEY, given);
  return true;
}

/**
 * Send a request and return the response; `json` or `body` is what to send. Throws `Refused` or `Away`; where the key
 * is missing it is asked for, unless `quiet`.
 */
export async function send(method, path, { json, body, type, signal, quiet } = {}) {
  for (;;) {
    const before = key();
    const kind = json === undefined ? type : "application/json";
    const request = { method, signal, cache: "no-store", headers: headers(kind ? { "Content-Type": kind } : {}) };
    request.body = json === undefined ? body : JSON.stringify(json);
    let response;
    try {
      response = await fetch(path, request);
    } catch (error) {
      if (signal?.aborted) throw error;
      away();
      throw new Away();
    }
    if (response.ok) return response;
    const error = await refusal(response.status, await response.text());
    if (error instanceof Away) away();
    const again = error.status === 401 && (key() !== before || (!quiet && (await newKey(error.message))));
    if (!again) throw error;
    if (key() !== before) document.dispatchEvent(new CustomEvent("back", { detail: "let in" }));
  }
}

/** Send a request and return the JSON of its answer. */
export const call = async (method, path, options) => (await send(method, path, options)).json();

/** Yield the server-sent events of a response as {event, id, data}. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const message = parsed(block);
        if (message.data) yield message;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(block) {
  const found = { event: "message", id: null, data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
  }
  return found;
}

/** Throw `Unreadable` if a file cannot be read, or is no longer as it was when it was picked. */
export async function checkReadable(file) {
  await file
    .slice(0, 1)
    .arrayBuffer()
    .catch(() => {
      throw new Unreadable(file.name);
    });
}

/** Send a file with PUT; `progress` hears the share that is sent. Returns the JSON of the answer. */
export async function put(path, file, type, progress) {
  await checkReadable(file); // while it is sent, a failure would look like a server that does not answer
  for (;;) {
    const before = key();
    const [status, text] = await sent(path, file, type, progress);
    if (status >= 200 && status < 300) return JSON.parse(text);
    const error = status ? await refusal(status, text) : new Away();
    if (error instanceof Away) away();
    if (error.status !== 401 || (key() === before && !(await newKey(error.message)))) throw error;
  }
}

function sent(path, file, type, progress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much is sent
    request.open("PUT", path);
    for (const [name, value] of Object.entries(headers({ "Content-Type": type })))
      request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("loadend", () => resolve([request.status, request.responseText]));
    request.send(file);
  });
}

export { pause };

// Requests to the server, relative to the page's address, with the key if there is one.
//
// Dispatches "away" on the document when the server does not respond, and "back" when it responds again or accepts a
// new key.

const KEY = "numlstm-key";
let asking = null; // promise of the open key dialog, shared by all requests that wait for it
let askKey = async () => null; // set by `setAsker`: (message) => a key, or null
let absence = null; // promise that settles when the server is back

/** The server refused a request: the status, the message, its code and the invalid field. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    Object.assign(this, { status, code: error.code, param: error.param });
  }
}

/** The server does not respond. */
export class Away extends Error {}

/** A file cannot be read: it is gone, has changed since it was picked, or is a folder. */
export class Unreadable extends Error {}

/** Set the function that asks for the key. */
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

/** Record that the server does not respond; return a promise that resolves when it does again. */
export function away() {
  absence ??= wait();
  return absence;
}

/** Return the error for a response that is not OK. */
export async function refusal(status, text) {
  try {
    return new Refused(status, JSON.parse(text).error);
  } catch {
    if (status >= 502 && status <= 504) return new Away(); // answered by a proxy
    return new Refused(status, { message: `HTTP ${status}` });
  }
}

/** Ask for the key, once for all waiting requests; return true if one was given. */
export async function newKey(line) {
  asking ??= askKey(key() ? line : "");
  const given = await asking;
  asking = null;
  if (given === null) return false;
  if (given !== key()) sessionStorage.setItem(KEY, given);
  return true;
}

/**
 * Send a request with `json` or `body` and return the response. Throws `Refused` or `Away`. If the key is missing or
 * wrong, asks for it and tries again, unless `quiet`.
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

/** Send a request and return the JSON of its response. */
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

/** Throw `Unreadable` if a file cannot be read or has changed since it was picked. */
export async function checkReadable(file) {
  await file
    .slice(0, 1)
    .arrayBuffer()
    .catch(() => {
      throw new Unreadable(file.name);
    });
}

/** Send a file with PUT and return the JSON of the response; `progress` is called with the fraction sent. */
export async function put(path, file, type, progress) {
  await checkReadable(file); // during the upload, a read error looks like a server that does not respond
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
    const request = new XMLHttpRequest(); // fetch reports no upload progress
    request.open("PUT", path);
    for (const [name, value] of Object.entries(headers({ "Content-Type": type })))
      request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("loadend", () => resolve([request.status, request.responseText]));
    request.send(file);
  });
}

export { pause };

// The service, as the page asks it.

const KEY = "memory-service-key";

/** `locked` (a key is needed), `unreachable`, and `key` (another one, or none). */
export const events = new EventTarget();

/** An answer that is a failure: RFC 9457 problem details, where the service itself gave it. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || `HTTP ${status}`);
    this.status = status;
    this.code = body?.code;
    this.requestId = body?.request_id;
    this.errors = body?.errors ?? [];
  }
}

/** No answer. */
export class Unreachable extends Error {}

export const get = (path, options) => ask("GET", path, undefined, options);

export const post = (route, body, options) => ask("POST", `memory/${route}`, body, options);

export const send = (path, body) => ask("POST", path, body);

export const remove = (path) => ask("DELETE", path);

let kept = null; // where the browser allows no storage

/** The key is kept for this tab alone, and until it is closed. */
export function key() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return kept;
  }
}

export function setKey(value) {
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    kept = value;
  }
  events.dispatchEvent(new Event("key"));
}

async function ask(method, path, body, { signal, headers, as = key() } = {}) {
  const sent = { ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  if (as) sent.Authorization = `Bearer ${as}`;
  const since = performance.now();
  const request = { method, signal, headers: sent, body: JSON.stringify(body), cache: "no-store" };
  const [response, text] = await answer(path, request);
  const json = parsed(text);
  if (response.ok && json !== undefined) return json;
  const problem = new Problem(response.status, json);
  if (problem.status === 401 && as === key()) locked(problem, since);
  throw problem;
}

/** Say that a key is needed, or another one; `problem` says why, `since` when it was asked for. */
export function locked(problem, since = performance.now()) {
  events.dispatchEvent(new CustomEvent("locked", { detail: { problem, since } }));
}

async function answer(path, request) {
  try {
    const response = await fetch(path, request);
    return [response, await response.text()]; // an answer that breaks off is none
  } catch (error) {
    if (error.name === "AbortError") throw error;
    events.dispatchEvent(new Event("unreachable"));
    throw new Unreachable();
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // something between here and the service has answered
  }
}

/** For an Idempotency-Key; crypto.randomUUID is missing where the page is not on https. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

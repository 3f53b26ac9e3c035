// A memory opened: its text, what is known about it, and its history.

import { Problem, post } from "./api.js";
import { $, announce, button, fill, h, icon } from "./dom.js";
import { exactly, t } from "./i18n.js";
import { time } from "./item.js";
import { KINDS, current, go, link } from "./route.js";
import { failure, skeleton, state } from "./states.js";
import { timeline } from "./timeline.js";

let open = null; // the id
let working = null;
let failed = false;
let actions; // {edit(memory), remove(memory)}

const FACTS = ["role", "actor_id", "attributed_to", "expiration_date"];

export function start(given) {
  actions = given;
  fill($("detail"), placeholder());
}

export function close() {
  if (open) go(current().scope);
}

/** Open the memory with this id; null closes. Says whether it is another one than before. */
export function show(id) {
  if (id === open) return false;
  open = id;
  working?.abort();
  working = null;
  document.body.classList.toggle("opened", Boolean(id));
  if (id) load();
  else fill($("detail"), placeholder());
  return true;
}

export function retry() {
  if (failed) load();
}

export function focus() {
  ($("detail-title") ?? $("detail").querySelector("button"))?.focus();
}

export async function load() {
  const id = open;
  const mine = (working = new AbortController());
  failed = false;
  if ($("detail").dataset.id !== id) waiting(id);
  try {
    const [memory, events] = await read(id, mine.signal);
    if (mine !== working) return;
    put(memory, memory ? body(memory, events) : gone(events));
  } catch (error) {
    if (mine !== working) return;
    failed = true;
    put(null, missing(error) ?? failure(error, load));
    announce($("detail").querySelector(".notice-title").textContent);
  }
}

/** Show it below the head, which stays: the focus may be there. */
function put(memory, content) {
  const held = document.activeElement.id;
  fill($("detail-actions"), memory && buttons(memory));
  $("detail").lastChild.replaceWith(content);
  if (document.activeElement === document.body) ($(held) ?? $("detail-title")).focus();
}

/** The memory, null for a deleted one, and its events. */
async function read(id, signal) {
  const asked = [
    post("get", { memory_id: id, show_expired: true }, { signal }),
    post("history", { memory_id: id }, { signal }),
  ];
  const [memory, history] = await Promise.allSettled(asked);
  if (history.status === "rejected") throw history.reason;
  if (memory.status === "fulfilled") return [memory.value, history.value.results];
  if (memory.reason instanceof Problem && memory.reason.status === 404) return [null, history.value.results];
  throw memory.reason;
}

function waiting(id) {
  fill($("detail"), head(), h("div", { class: "detail-body" }));
  skeleton($("detail").lastChild, 3);
  $("detail").dataset.id = id;
}

function missing(error) {
  if (!(error instanceof Problem && (error.status === 404 || error.status === 400))) return null;
  return state("all", t("notFoundTitle"));
}

function head() {
  const leave = button(t("back"), { class: "quiet square", id: "detail-close", title: t("close"), onclick: close });
  leave.replaceChildren(icon("close"), icon("back"), h("span", { class: "unseen" }, t("back")));
  return h(
    "div",
    { class: "detail-head" },
    leave,
    h("h2", { id: "detail-title", tabindex: -1 }, t("memory")),
    h("span", { class: "grow" }),
    h("span", { class: "row", id: "detail-actions" }),
  );
}

function buttons(memory) {
  return [
    button(t("delete"), { class: "quiet danger", id: "delete", onclick: () => actions.remove(memory) }, "delete"),
    button(t("edit"), { class: "outlined", id: "edit", onclick: () => actions.edit(memory) }, "edit"),
  ];
}

function body(memory, events) {
  return h(
    "div",
    { class: "detail-body" },
    h("p", { class: "memory-text", id: "memory-text" }, memory.memory),
    h("dl", { class: "facts" }, facts(memory)),
    Object.keys(memory.metadata).length > 0 && metadata(memory.metadata),
    history(events),
  );
}

function facts(memory) {
  const owners = Object.keys(KINDS).filter((kind) => memory[kind]);
  return [
    owners.map((kind) => fact(t(kind), h("a", { href: link({ [kind]: memory[kind] }) }, memory[kind]))),
    FACTS.filter((name) => memory[name]).map((name) => fact(t(name), memory[name])),
    fact(t("created"), memory.created_at && exactTime(memory.created_at)),
    memory.updated_at !== memory.created_at && fact(t("updated"), exactTime(memory.updated_at)),
    fact(t("id"), h("code", {}, memory.id)),
  ];
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

function exactTime(of) {
  return [h("time", { datetime: of }, exactly(of)), h("span", { class: "hint" }, " · ", time(of))];
}

function metadata(given) {
  const rows = Object.entries(given).map(([key, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 1);
    return h("tr", {}, h("th", { scope: "row" }, key), h("td", { class: typeof value }, text));
  });
  return section(t("metadata"), h("table", { class: "metadata" }, h("tbody", {}, rows)));
}

function history(events) {
  return section(t("history"), events.length ? timeline(events) : h("p", { class: "hint" }, t("noHistory")));
}

function section(title, ...content) {
  return h("section", {}, h("h3", {}, title), ...content);
}

function gone(events) {
  const told = state("delete", t("goneTitle"), h("p", {}, t("goneText")));
  return h("div", { class: "detail-body" }, told, history(events));
}

function placeholder() {
  delete $("detail").dataset.id;
  const key = (keys, what) => h("li", {}, keys.map((name) => h("kbd", {}, name)), ` ${what}`);
  const hints = [
    key(["↑", "↓"], t("keysMove")),
    key(["Enter"], t("keysOpen")),
    key(["Ctrl", "K"], t("keysSearch")),
    key(["Esc"], t("keysClose")),
  ];
  return h("div", { class: "placeholder" }, icon("all"), h("p", {}, t("choosePlease")), h("ul", { class: "keys" }, hints));
}

// The memories of whoever was chosen, newest first, or what a search finds, best first.

import { post } from "./api.js";
import { $, announce, arrows, button, fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { item } from "./item.js";
import { link, same } from "./route.js";
import * as scopes from "./scopes.js";
import { failure, skeleton, state } from "./states.js";

const PAGE = 50;
const FOUND = [50, 200, 1000]; // a search has no cursor: more means to ask for more
const PAUSE_MS = 180; // in typing, before it is searched

let scope = null;
let query = "";
let source; // asks for the next part
let working = null; // the AbortController of what is asked right now
let failed = null;
let memories = [];
let pause;
let explained = false;

const seen = new IntersectionObserver(
  (entries) => entries.some(({ isIntersecting }) => isIntersecting) && next(),
  { root: $("results"), rootMargin: "600px" },
);

export function start() {
  arrows($("items"), "a");
  $("more").addEventListener("click", next);
  $("query").addEventListener("input", (event) => !event.isComposing && typed(PAUSE_MS));
  $("query").addEventListener("compositionend", () => typed(PAUSE_MS));
  $("query").addEventListener("keydown", keys);
  $("explain").addEventListener("click", explain);
}

/** The memories of `wanted`; nothing is asked where they are shown already. */
export function show(wanted) {
  if (scope && same(scope, wanted)) return;
  scope = wanted;
  memories = [];
  fill($("items"));
  reload();
}

export const shown = () => scope;

/** From the start again, as after a change. */
export function reload() {
  query = $("query").value.trim();
  $("explain").hidden = !query;
  $("list-title").textContent = Object.values(scope)[0] ?? t("everyone");
  $("delete-all").hidden = Object.keys(scope).length === 0;
  source = query ? search(scope, query) : pages(scope);
  return ask(true);
}

/** What failed is asked again; what is there stays. */
export function retry() {
  if (failed) ask(memories.length === 0 || Boolean(query));
}

export function focus(id = null) {
  const target = id && $("items").querySelector(`[data-id="${CSS.escape(id)}"] a`);
  (target || $("list-title")).focus();
}

export function mark(id) {
  for (const link of $("items").querySelectorAll("a")) {
    if (link.closest("li").dataset.id === id) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

/** A memory was changed; where the order may now be another, it is asked for. */
export function changed(memory) {
  if (query) return void reload();
  const at = memories.findIndex(({ id }) => id === memory.id);
  if (at < 0) return;
  memories[at] = memory;
  $("items").children[at].replaceWith(item(memory, explained));
}

function pages(of) {
  let cursor;
  return async (signal) => {
    const answer = await post("get_all", { ...of, limit: PAGE, ...(cursor && { cursor }) }, { signal });
    const first = !cursor;
    cursor = answer.next_cursor;
    return { results: answer.results, fresh: first, more: Boolean(cursor), total: answer.total };
  };
}

function search(of, text) {
  const limits = [...FOUND];
  return async (signal) => {
    const body = { ...of, query: text, limit: limits[0], explain: true };
    const { results, reason } = await post("search", body, { signal });
    const more = results.length === limits.shift() && limits.length > 0;
    return { results, fresh: true, more, total: null, reason };
  };
}

const next = () => working || ask(false);

async function ask(fromStart) {
  working?.abort();
  const mine = (working = new AbortController());
  seen.disconnect();
  busy(fromStart);
  try {
    const part = await source(mine.signal);
    if (mine === working) drawn(part, fromStart);
  } catch (error) {
    if (mine === working) unfinished(error);
  } finally {
    if (mine === working) {
      working = null;
      $("results").setAttribute("aria-busy", "false");
    }
  }
}

function busy(fromStart) {
  $("degraded").hidden = true;
  failed = null;
  $("results").setAttribute("aria-busy", "true");
  if (memories.length === 0) skeleton($("list-state"), 6);
  else if (!fromStart) fill($("list-state"));
}

function drawn({ results, fresh, more, total: all, reason }, fromStart) {
  $("degraded").hidden = !reason;
  $("degraded").textContent = reason || "";
  memories = fresh ? results : [...memories, ...results];
  const elements = results.map((memory) => item(memory, explained));
  if (fresh) fill($("items"), elements);
  else $("items").append(...elements);
  if (fromStart) $("results").scrollTop = 0;
  const count = query ? t("results", memories.length) + (more ? "+" : "") : t("memories", all);
  $("count").textContent = count;
  if (fromStart) announce(count);
  fill($("list-state"), memories.length === 0 && nothing());
  goOn(more);
}

function goOn(more) {
  $("more").hidden = !more;
  $("more").textContent = t("more");
  if (more) seen.observe($("more"));
}

function unfinished(error) {
  failed = error;
  $("more").hidden = true;
  if (query || error.status === 401) {
    memories = []; // those shown are of another search, or of a key that is no more
    fill($("items"));
  }
  if (memories.length === 0) $("count").textContent = "";
  fill($("list-state"), failure(error, retry));
  announce($("list-state").querySelector(".notice-title").textContent);
}

function nothing() {
  if (query) return nothingFound();
  const [id] = Object.values(scope);
  const add = button(t("add"), { class: "primary", onclick: () => $("add").click() }, "add");
  if (id || !scopes.nobody()) {
    return state("all", t("emptyScope", id ?? t("everyone")), h("p", {}, t("emptyScopeText")), add);
  }
  return state("all", t("emptyTitle"), h("p", {}, t("emptyText")), h("pre", { tabindex: 0 }, example()), add);
}

function nothingFound() {
  const everywhere = Object.keys(scope).length > 0 && h("a", { href: link({}) }, t("everywhere"));
  return state("search", t("nothingFound", query), h("p", {}, t("nothingFoundText")), everywhere);
}

function example() {
  const body = '{"data": "I love hiking", "user_id": "alice"}';
  const address = new URL("memory/add", location.href).href;
  return `curl ${address} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

function typed(after) {
  clearTimeout(pause);
  pause = setTimeout(() => $("query").value.trim() !== query && reload(), after);
}

function keys(event) {
  if (event.isComposing) return;
  if (event.key === "Enter") typed(0);
  if (event.key === "ArrowDown") {
    event.preventDefault();
    $("items").querySelector("a")?.focus();
  }
  if (event.key === "Escape" && $("query").value) {
    event.preventDefault();
    event.stopPropagation();
    $("query").value = "";
    typed(0);
  }
}

function explain() {
  explained = !explained;
  $("explain").setAttribute("aria-pressed", explained);
  fill($("items"), memories.map((memory) => item(memory, explained)));
}

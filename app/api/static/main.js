// What belongs to whom: the address, the keys, and the panes joined.

import { events, key, setKey } from "./api.js";
import * as connection from "./connection.js";
import * as detail from "./detail.js";
import { $, toast, translate } from "./dom.js";
import * as forms from "./forms.js";
import { language, t } from "./i18n.js";
import * as keys from "./keys.js";
import * as list from "./list.js";
import * as queue from "./queue.js";
import { current, go } from "./route.js";
import * as scopes from "./scopes.js";

function show() {
  const { scope, memory } = current();
  const chosen = document.body.dataset.view === "scopes";
  view("list");
  scopes.mark(scope);
  list.show(scope);
  const before = opened;
  opened = memory;
  list.mark(memory);
  if (!detail.show(memory)) return void (chosen && list.focus());
  if (memory) detail.focus();
  else if (seeking) seek();
  else list.focus(before);
}

let opened = null;
let seeking = false; // once the memory that covers the list is closed

/** On a phone one pane is seen at a time: the list (or the memory opened), or the scopes. */
function view(name) {
  document.body.dataset.view = name;
}

function reload() {
  queue.load();
  scopes.load();
  list.reload();
  if (opened) detail.load();
}

function added() {
  scopes.load();
  list.reload();
}

function edit(memory) {
  forms.edit(memory, (now) => {
    list.changed(now);
    detail.load();
  });
}

function remove(memory) {
  forms.remove(memory, list.shown(), () => {
    opened = null; // its place in the list is gone too
    go(list.shown());
    added();
  });
}

function removeAll() {
  forms.removeAll(list.shown(), scopes.memoriesOf(list.shown()), () => {
    go(list.shown());
    added();
  });
}

function forget() {
  setKey(null);
  toast(t("forgotten"));
}

function keyChanged() {
  $("forget").hidden = !key();
  keys.offer();
  reload();
}

function shortcuts(event) {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && !leaveScopes()) detail.close();
  if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  view("list");
  seeking = getComputedStyle($("list")).visibility === "hidden";
  if (seeking) detail.close();
  else seek();
}

function seek() {
  seeking = false;
  $("query").focus();
  $("query").select();
}

function listen() {
  addEventListener("hashchange", show);
  addEventListener("keydown", shortcuts);
  $("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the part after the # says whose memories are shown
    list.focus();
  });
  $("add").addEventListener("click", () => forms.add(list.shown(), added));
  $("delete-all").addEventListener("click", removeAll);
  $("refresh").addEventListener("click", reload);
  $("keys-open").addEventListener("click", keys.open);
  $("forget").addEventListener("click", forget);
  events.addEventListener("locked", ({ detail: { problem, since } }) => forms.askKey(problem, since));
  events.addEventListener("key", keyChanged);
  phone();
}

function phone() {
  $("scopes-open").addEventListener("click", () => {
    view("scopes");
    ($("scopes").querySelector('[aria-current="true"]') ?? $("scopes-close")).focus();
  });
  $("scopes-close").addEventListener("click", leaveScopes);
  // The one that is shown already changes no address.
  $("scopes").addEventListener("click", (event) => event.target.closest("a[aria-current]") && leaveScopes());
}

function leaveScopes() {
  if (document.body.dataset.view !== "scopes") return false;
  view("list");
  $("scopes-open").focus();
  return true;
}

function start() {
  document.documentElement.lang = language;
  document.title = t("title");
  translate();
  $("shortcut").textContent = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘K" : "Ctrl K";
  scopes.start();
  list.start();
  detail.start({ edit, remove });
  connection.watch(() => {
    scopes.load();
    list.retry();
    detail.retry();
  });
  listen();
  $("forget").hidden = !key();
  keys.offer();
  scopes.load();
  queue.start(added);
  show();
  document.body.classList.add("ready");
}

start();

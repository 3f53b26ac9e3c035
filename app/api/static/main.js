// What belongs to whom: the address, the keys, and the panes joined.

import { events, key, setKey } from "./api.js";
import * as connection from "./connection.js";
import * as detail from "./detail.js";
import { $, toast, translate } from "./dom.js";
import * as forms from "./forms.js";
import { language, t } from "./i18n.js";
import * as list from "./list.js";
import { current, go } from "./route.js";
import * as scopes from "./scopes.js";

function show() {
  const { scope, memory } = current();
  view("list");
  scopes.mark(scope);
  list.show(scope);
  const before = opened;
  opened = memory;
  list.mark(memory);
  if (!detail.show(memory)) return;
  if (memory) detail.focus();
  else list.focus(before);
}

let opened = null;

/** On a phone one pane is seen at a time: the list (or the memory opened), or the scopes. */
function view(name) {
  document.body.dataset.view = name;
}

function reload() {
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
  forms.removeAll(list.shown(), list.total(), () => {
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
  reload();
}

function listen() {
  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    view("list");
    $("query").focus();
    $("query").select();
  });
  $("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the part after the # says whose memories are shown
    list.focus();
  });
  $("add").addEventListener("click", () => forms.add(list.shown(), added));
  $("delete-all").addEventListener("click", removeAll);
  $("refresh").addEventListener("click", reload);
  $("forget").addEventListener("click", forget);
  events.addEventListener("locked", forms.askKey);
  events.addEventListener("key", keyChanged);
  phone();
}

function phone() {
  $("scopes-open").addEventListener("click", () => {
    view("scopes");
    ($("scopes").querySelector('[aria-current="true"]') ?? $("scopes-close")).focus();
  });
  const leave = () => {
    if (document.body.dataset.view !== "scopes") return;
    view("list");
    $("scopes-open").focus();
  };
  $("scopes-close").addEventListener("click", leave);
  $("scopes").addEventListener("keydown", (event) => event.key === "Escape" && leave());
  // The one that is shown already changes no address.
  $("scopes").addEventListener("click", (event) => event.target.closest("a[aria-current]") && leave());
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
  scopes.load();
  show();
  document.body.classList.add("ready");
}

start();

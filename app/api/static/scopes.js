// Whose memories there are: everyone, users, agents, apps and runs, with how many.

import { Unreachable, get, post } from "./api.js";
import { $, arrows, fill, h, icon } from "./dom.js";
import { number, t } from "./i18n.js";
import { KINDS, current, link, same } from "./route.js";
import { failure } from "./states.js";

const MANY = 12; // from which on a field to filter them is worth its place
const MOST = 1000; // of each kind that the service counts
const SYMBOLS = { user_id: "user", agent_id: "agent", app_id: "app", run_id: "run" };

let counted = { users: [], agents: [], apps: [], runs: [] };
let total = null;
let filter = "";
let failed = null;

export function start() {
  arrows($("scopes"), "a");
}

/** Ask for the counts. A failure is shown, not thrown. */
export async function load() {
  try {
    [counted, { total }] = await Promise.all([get("scopes"), post("get_all", { limit: 1 })]);
    failed = null;
  } catch (error) {
    failed = error;
  }
  keepFocus(draw);
}

/** Everybody there is, of one kind: "user_id". */
export const ids = (kind) => counted[KINDS[kind]].map(({ id }) => id);

/** How many memories there were of `scope`, which names one, when they were counted. */
export function memoriesOf(scope) {
  const [[kind, wanted]] = Object.entries(scope);
  return counted[KINDS[kind]].find(({ id }) => id === wanted)?.memories ?? 0;
}

export const nobody = () => Object.values(counted).every((all) => all.length === 0);

export function mark(scope) {
  for (const entry of $("scopes-body").querySelectorAll("a")) {
    if (same(scope, entry.scope)) entry.setAttribute("aria-current", "true");
    else entry.removeAttribute("aria-current");
  }
}

/** Where `change` replaces what has the focus, the focus goes to what stands for it. */
function keepFocus(change) {
  const held = document.activeElement;
  const inside = $("scopes-body").contains(held);
  change();
  if (!inside) return;
  const all = [...$("scopes-body").querySelectorAll("a, input")];
  const heir = all.find((one) => one.localName === held.localName && one.href === held.href);
  (heir ?? all[0])?.focus();
}

function draw() {
  if (failed) {
    // Without a key or a connection the list says it already.
    const told = failed instanceof Unreachable || failed.status === 401;
    fill($("scopes-body"), !told && failure(failed, load));
    return;
  }
  const all = Object.values(counted).flat();
  const field = all.length > MANY && filterField();
  const everyone = h("ul", {}, entry("all", t("everyone"), {}, total ?? 0));
  const groups = h("div", {}, Object.keys(KINDS).map(group));
  fill($("scopes-body"), everyone, field, groups);
  if (field) field.addEventListener("input", () => narrowed(field.querySelector("input").value, groups));
  if (field && filter) narrowed(filter, groups);
  mark(current().scope);
}

function filterField() {
  const input = h("input", { type: "search", placeholder: t("narrow"), "aria-label": t("narrow"), value: filter });
  return h("div", { class: "filter" }, input);
}

function narrowed(text, groups) {
  filter = text;
  fill(groups, Object.keys(KINDS).map(group));
  if (!groups.childElementCount) fill(groups, h("p", { class: "hint" }, t("noneNamed")));
  mark(current().scope);
}

function group(kind) {
  const wanted = filter.toLowerCase();
  const all = counted[KINDS[kind]];
  const shown = all.filter(({ id }) => id.toLowerCase().includes(wanted));
  if (shown.length === 0) return null;
  const title = `group-${kind}`;
  return h(
    "section",
    { "aria-labelledby": title },
    h("h3", { id: title }, t(KINDS[kind])),
    h("ul", {}, shown.map(({ id, memories }) => entry(SYMBOLS[kind], id, { [kind]: id }, memories))),
    all.length === MOST && h("p", { class: "hint" }, t("most", MOST)),
  );
}

function entry(symbol, name, scope, memories) {
  const target = h(
    "a",
    { href: link(scope), title: name },
    icon(symbol),
    h("span", { class: "name" }, name),
    h("span", { class: "number", "aria-hidden": "true" }, number(memories)),
    h("span", { class: "unseen" }, ` ${t("memories", memories)}`),
  );
  target.scope = scope;
  return h("li", {}, target);
}

// What is written: add, edit, delete, delete all of one; and the key.

import { get, key, post, randomKey, setKey } from "./api.js";
import { h, toast } from "./dom.js";
import { Wrong, checkbox, field, openDialog } from "./dialog.js";
import { t } from "./i18n.js";
import { KINDS, link } from "./route.js";
import * as scopes from "./scopes.js";

/** Add a memory, of `scope` unless another is given; `done()` once it is stored. */
export function add(scope, done) {
  const text = h("textarea", { name: "data", rows: 5, autofocus: true, placeholder: t("dataHint") });
  const content = [field(t("data"), text), owners(scope), more(null)];
  const { dialog } = openDialog({
    title: t("addTitle"),
    content,
    action: t("add"),
    submit: async () => {
      const given = dialog.querySelector("form").elements;
      told(await post("add", wanted(given), { headers: once(wanted(given)) }));
      done();
    },
  });
}

function owners(scope) {
  const fields = Object.keys(KINDS).map((kind) => {
    const list = h("datalist", { id: `ids-${kind}` }, scopes.ids(kind).map((id) => h("option", { value: id })));
    const input = h("input", { name: kind, list: list.id, autocomplete: "off", value: scope[kind] });
    return [field(t(kind), input), list];
  });
  return h("fieldset", {}, h("legend", {}, t("whose")), h("div", { class: "halves" }, fields));
}

/** Metadata and date; what can be said of a new memory only, where there is none yet. */
function more(memory) {
  const old = memory && Object.keys(memory.metadata).length > 0 ? JSON.stringify(memory.metadata, null, 2) : "";
  const metadata = h("textarea", { name: "metadata", rows: 4, spellcheck: "false", class: "code" });
  metadata.value = old;
  const date = h("input", { name: "expiration_date", type: "date", value: memory?.expiration_date });
  return h(
    "details",
    { open: Boolean(memory) },
    h("summary", {}, t("moreFields")),
    field(t("metadata"), metadata, t(memory ? "metadataEditHint" : "metadataHint")),
    field(t("expiration_date"), date, t("dateHint")),
    !memory && checkbox("exactly", t("asGiven"), t("asGivenHint")),
  );
}

function wanted(given) {
  const body = { data: text(given) };
  for (const kind of Object.keys(KINDS)) if (given[kind].value.trim()) body[kind] = given[kind].value.trim();
  // A key may be bound to one already.
  if (!key() && !Object.keys(KINDS).some((kind) => body[kind])) throw new Wrong("user_id", t("scopeNeeded"));
  const metadata = object(given.metadata.value);
  if (Object.keys(metadata).length > 0) body.metadata = metadata;
  if (given.expiration_date.value) body.expiration_date = given.expiration_date.value;
  if (given.exactly.checked) body.infer = false;
  return body;
}

function text(given) {
  if (!given.data.value.trim()) throw new Wrong("data", t("textNeeded"));
  return given.data.value;
}

function object(given) {
  let value;
  try {
    value = JSON.parse(given.trim() || "{}");
  } catch {
    throw new Wrong("metadata", t("notObject"));
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Wrong("metadata", t("notObject"));
  return value;
}

let last = {};

/** The same key for the same body: sent again after a lost answer, it is stored once. */
function once(body) {
  const sent = JSON.stringify(body);
  if (last.sent !== sent) last = { sent, key: randomKey() };
  return { "Idempotency-Key": last.key };
}

function told({ results, failed = 0 }) {
  last = {};
  const some = failed > 0 ? ` ${t("someFailed", failed)}` : "";
  toast((results.length > 0 ? t("added", results.length) : t("nothingAdded")) + some);
}

/** Edit `memory`; `done(memory)` with what it then is. */
export function edit(memory, done) {
  const data = h("textarea", { name: "data", rows: 6, autofocus: true });
  data.value = memory.memory;
  const { dialog } = openDialog({
    title: t("editTitle"),
    content: [field(t("data"), data), more(memory)],
    action: t("save"),
    submit: async () => {
      const changes = differing(memory, dialog.querySelector("form").elements);
      if (Object.keys(changes).length === 0) return toast(t("unchanged"));
      const { result } = await post("update", { memory_id: memory.id, ...changes });
      toast(t("saved"));
      done(result);
    },
  });
}

function differing(memory, given) {
  const changes = {};
  if (text(given) !== memory.memory) changes.data = given.data.value;
  const metadata = object(given.metadata.value);
  for (const name of Object.keys(memory.metadata)) {
    if (!Object.hasOwn(metadata, name)) throw new Wrong("metadata", t("keyMissing", name));
  }
  const other = Object.entries(metadata).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(memory.metadata[name]),
  );
  if (other.length > 0) changes.metadata = Object.fromEntries(other);
  const date = given.expiration_date.value || null;
  if (date !== (memory.expiration_date ?? null)) changes.expiration_date = date;
  return changes;
}

/** Delete `memory` after a confirmation; `done()` once it is gone. */
export function remove(memory, scope, done) {
  openDialog({
    title: t("deleteTitle"),
    content: [h("blockquote", {}, memory.memory.slice(0, 300)), h("p", { class: "hint" }, t("deleteText"))],
    action: t("delete"),
    danger: true,
    submit: async () => {
      await post("delete", { memory_id: memory.id });
      toast(t("deleted"), { href: link(scope, memory.id), text: t("seeHistory") });
      done();
    },
  });
}

/** Delete all of `scope`, which names one, after its id was typed. */
export function removeAll(scope, total, done) {
  const [id] = Object.values(scope);
  const typed = h("input", { name: "confirm", autocomplete: "off", spellcheck: "false", autofocus: true });
  const purge = checkbox("purge", t("purge"));
  const { send } = openDialog({
    title: t("deleteAllTitle", id),
    content: [h("p", {}, t("deleteAllText", total)), field(t("deleteAllType", id), typed), purge],
    action: t("deleteAll"),
    danger: true,
    submit: async () => {
      const erase = purge.querySelector("input").checked;
      const { deleted } = await post("delete_all", { ...scope, ...(erase && { purge: true }) });
      toast(t("deletedAll", deleted));
      done();
    },
  });
  send.disabled = true;
  typed.addEventListener("input", () => (send.disabled = typed.value.trim().normalize() !== id));
}

let asking = false;
let left = 0; // when the question was last left; what was asked of the service before is answered

/** Ask for the key, unless that is being done; it is tried before it is kept. */
export function askKey(problem, since) {
  if (asking || since < left) return;
  asking = true;
  const input = h("input", { name: "key", type: "password", autocomplete: "off", autofocus: true });
  openDialog({
    title: t("keyTitle"),
    content: [h("p", {}, key() ? refused(problem) : t("lockedText")), field(t("key"), input, t("keyText"))],
    action: t("unlock"),
    submit: async () => {
      await tried(input.value.trim());
      setKey(input.value.trim());
    },
    closed: () => {
      asking = false;
      left = performance.now();
    },
  });
}

async function tried(given) {
  // A header holds nothing else, and such a key is nobody's.
  if (!/^[!-~]+$/.test(given)) throw new Wrong("key", t("keyWrong"));
  try {
    await get("scopes", { as: given });
  } catch (error) {
    if (error.status === 401) throw new Wrong("key", refused(error));
    throw error;
  }
}

const refused = ({ message }) => `${t("keyWrong")} ${message}`;

// The keys of the service, for whoever has the admin's: who may what, mint another, revoke one.

import { Problem, Unreachable, get, key, remove, send } from "./api.js";
import { checkbox, field, openDialog } from "./dialog.js";
import { $, button, fill, h, toast } from "./dom.js";
import { day, exactly, t } from "./i18n.js";
import { KINDS } from "./route.js";
import { explanation } from "./states.js";

const DAYS = 90; // what the service takes where nothing is said

/** Offer the view to those who may see it. */
export async function offer() {
  $("keys-open").hidden = true;
  if (!key()) return;
  try {
    await get("keys");
    $("keys-open").hidden = false;
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
  }
}

export function open() {
  const list = h("ul", { class: "key-list" });
  openDialog({
    title: t("keysTitle"),
    content: [h("p", { class: "hint" }, t("keysText")), list],
    action: t("mint"),
    submit: () => mint(),
  });
  draw(list);
}

async function draw(list) {
  let known;
  try {
    known = (await get("keys")).keys.map((one) => entry(one, list));
  } catch (error) {
    known = h("li", { class: "failed" }, explanation(error));
  }
  fill(list, known.length === 0 ? h("li", { class: "hint" }, t("noKeys")) : known);
}

function entry(one, list) {
  const ended = one.revoked_at || (one.ends_at && new Date(one.ends_at) < new Date());
  const revoking = button(t("revoke"), {
    class: "quiet danger",
    "aria-label": `${t("revoke")} ${one.id}`,
    onclick: () => revoke(one, () => draw(list)),
  });
  return h(
    "li",
    { class: ended ? "ended" : null },
    h(
      "div",
      { class: "row" },
      h("code", {}, one.id),
      h("span", { class: "key-scope" }, one.scope ? whose(one.scope) : t("unknownScope")),
      h("span", { class: "grow" }),
      !ended && revoking,
    ),
    h("p", { class: "hint" }, facts(one).join(" · ")),
  );
}

const whose = (scope) => Object.entries(scope).map(([kind, id]) => `${t(kind)} ${id}`).join(", ");

function facts(one) {
  return [
    one.read_only !== null && t(one.read_only ? "readOnly" : "readAndWrite"),
    one.ends_at && t("expires", day(one.ends_at)),
    one.last_used_on ? t("lastUsed", one.last_used_on) : t("neverUsed"),
    one.revoked_at && t("revokedAt", exactly(one.revoked_at)),
  ].filter(Boolean);
}

function revoke(one, done) {
  openDialog({
    title: t("revokeTitle", one.id),
    content: h("p", {}, t("revokeText")),
    action: t("revoke"),
    danger: true,
    submit: async () => {
      await remove(`keys/${one.id}`);
      toast(t("revoked", one.id));
      await done();
    },
  });
}

function mint() {
  const ids = Object.keys(KINDS).map((kind) => field(t(kind), h("input", { name: kind, autocomplete: "off" })));
  const days = h("input", { name: "days", type: "number", min: 1, max: 3650, value: DAYS });
  const { dialog } = openDialog({
    title: t("mint"),
    content: [
      h("fieldset", {}, h("legend", {}, t("boundTo")), h("div", { class: "halves" }, ids)),
      field(t("days"), days),
      checkbox("read_only", t("readOnly")),
    ],
    action: t("mint"),
    submit: async () => shown(await send("keys", wanted(dialog.querySelector("form").elements))),
  });
  dialog.querySelector("input").focus();
}

function wanted(given) {
  const body = { days: Number(given.days.value), read_only: given.read_only.checked };
  for (const kind of Object.keys(KINDS)) if (given[kind].value.trim()) body[kind] = given[kind].value.trim();
  return body;
}

function shown({ key: minted, scope }) {
  const text = h("textarea", { name: "minted", rows: 4, readonly: true, class: "code", autofocus: true });
  text.value = minted;
  openDialog({
    title: t("mintedTitle"),
    content: [
      h("p", {}, whose(scope)),
      field(t("key"), text, t("mintedText")),
      !scope.app_id && h("p", { class: "hint" }, t("everyApp")),
    ],
    action: t("done"),
    submit: open,
  });
  text.select();
}

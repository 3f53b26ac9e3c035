// The history of a memory: the last event on top, each with what it changed.

import { diff } from "./diff.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { time } from "./item.js";

/** `events` as /memory/history gives them, oldest first. */
export function timeline(events) {
  return h("ol", { class: "timeline", reversed: true }, [...events].reverse().map(step));
}

function step(event) {
  const by = [event.role, event.actor_id, event.written_by && t("writtenBy", event.written_by)];
  return h(
    "li",
    { class: `step ${event.event.toLowerCase()}` },
    h(
      "div",
      { class: "step-head" },
      h("strong", {}, t(event.event)),
      time(event.updated_at),
      h("span", {}, by.filter(Boolean).join(" · ")),
    ),
    h("p", { class: "step-text" }, change(event)),
  );
}

function change({ event, old_memory: before, new_memory: after }) {
  if (event === "ADD") return after ?? erased();
  if (event === "DELETE") return before === null ? erased() : h("del", {}, before);
  if (before === null || after === null) return erased();
  if (before === after) return h("span", { class: "hint" }, t("sameText"));
  return diff(before, after).map(run);
}

const erased = () => h("span", { class: "hint" }, t("purged"));

function run({ kind, text }) {
  if (kind === "same") return text;
  const [tag, said] = kind === "added" ? ["ins", "addedText"] : ["del", "removedText"];
  return h(tag, {}, h("span", { class: "unseen" }, `${t(said)} `), text);
}

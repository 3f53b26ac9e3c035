// One memory in the list.

import { h, icon } from "./dom.js";
import { ago, exactly, t } from "./i18n.js";
import { KINDS, current, link } from "./route.js";

const SHOWN = 400; // characters: the list shows a few lines, and the memory opened all

export function item(memory, explained) {
  const { scope, memory: open } = current();
  const target = h("a", { href: link(scope, memory.id) }, shortened(memory.memory));
  if (open === memory.id) target.setAttribute("aria-current", "true");
  const element = h(
    "li",
    { class: "item", "data-id": memory.id },
    h("div", { class: "item-text" }, target),
    memory.score !== undefined && score(memory, explained),
    h("div", { class: "meta" }, time(memory.created_at), chips(memory, scope), until(memory)),
  );
  return element;
}

function shortened(text) {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

export function time(of) {
  return of && h("time", { datetime: of, title: exactly(of) }, ago(of));
}

function until({ expiration_date: day }) {
  return day && h("span", {}, t("expires", day));
}

/** Whose it is, but for what is known from the list it stands in. */
function chips(memory, scope) {
  return Object.keys(KINDS)
    .filter((kind) => memory[kind] && !scope[kind])
    .map((kind) => chip(kind, memory[kind]));
}

function chip(kind, id) {
  const symbol = kind.replace("_id", "");
  return h(
    "span",
    { class: "chip", title: `${t(kind)}: ${id}` },
    icon(symbol),
    h("span", { class: "unseen" }, `${t(kind)} `),
    h("span", { class: "chip-id" }, id),
  );
}

const two = (share) => share.toFixed(2);

/** The score as a bar of its parts; explained, each with what it is worth. */
function score({ score: total, similarity, keyword, neighbours, question }, explained) {
  // The sum may be more than the 1 that is shown, and a question counts less than its sum.
  const scale = total / (similarity + keyword + neighbours || 1);
  const bar = h("div", {
    class: "bar-track",
    role: "meter",
    "aria-label": t("score"),
    "aria-valuemin": 0,
    "aria-valuemax": 1,
    "aria-valuenow": two(total),
  });
  bar.append(
    part("meaning", similarity * scale),
    part("words", keyword * scale),
    part("neighbours", neighbours * scale),
  );
  return h(
    "div",
    { class: "score" },
    bar,
    h("span", { class: "score-number", "aria-hidden": "true" }, two(total)),
    explained &&
      h(
        "dl",
        { class: "shares" },
        share("meaning", t("meaning"), similarity),
        share("words", t("wordsShared"), keyword),
        share("neighbours", t("neighbours"), neighbours),
        question && h("div", {}, h("dt", {}, t("question")), h("dd", {}, "× 0.8")),
      ),
  );
}

function part(kind, width) {
  const element = h("span", { class: `part ${kind}` });
  element.style.width = `${100 * width}%`;
  return element;
}

function share(kind, name, value) {
  return h("div", {}, h("dt", { class: kind }, name), h("dd", {}, two(value)));
}

// What stands in the place of memories: nothing yet, at work, failed, locked, out of reach.

import { Problem, Unreachable, locked } from "./api.js";
import { button, fill, h, icon } from "./dom.js";
import { t } from "./i18n.js";

/** A picture, a title, a text, and what can be done; announced where it is a failure. */
export function state(symbol, title, ...rest) {
  return h("div", { class: "notice" }, icon(symbol), h("p", { class: "notice-title" }, title), ...rest);
}

export function failure(error, retry) {
  if (error instanceof Unreachable) {
    return state("off", t("offlineTitle"), h("p", {}, t("offlineText")));
  }
  if (!(error instanceof Problem)) throw error;
  if (error.status === 401) return needsKey(error);
  const title = error.status === 403 ? t("forbiddenTitle") : t("failedTitle");
  return state("warning", title, ...explanation(error), button(t("again"), { onclick: retry }, "refresh"));
}

function needsKey(problem) {
  const enter = () => locked(problem);
  return state("key", t("lockedTitle"), h("p", {}, t("lockedText")), button(t("enterKey"), { onclick: enter }, "key"));
}

/** What the service said, and the id under which its log has it. */
export function explanation(error) {
  if (error instanceof Unreachable) return [h("p", {}, t("offlineTitle"))];
  if (!(error instanceof Problem)) throw error;
  const wrong = error.errors.map(({ field, message }) => h("li", {}, h("code", {}, field), ` ${message}`));
  return [
    h("p", {}, error.message),
    wrong.length > 0 && h("ul", {}, wrong),
    error.requestId && h("p", { class: "request-id" }, `${t("requestId")} `, h("code", {}, error.requestId)),
  ];
}

export function skeleton(element, rows) {
  const row = () => h("div", { class: "bone" }, h("span"), h("span"));
  fill(element, h("div", { class: "skeleton" }, h("span", { class: "unseen" }, t("loading")), Array.from({ length: rows }, row)));
}

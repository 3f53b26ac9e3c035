// When the service does not answer: say so, ask again until it does, and go on.

import { events } from "./api.js";
import { $, announce, button, fill, h, icon } from "./dom.js";
import { t } from "./i18n.js";

const WAITS_MS = [1000, 2000, 4000, 8000];

let lost = false;
let timer;

/** `onBack` is called when it answers again. */
export function watch(onBack) {
  const ask = async (attempt) => {
    clearTimeout(timer);
    if (await answers()) return back();
    timer = setTimeout(ask, WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)], attempt + 1);
  };
  const back = () => {
    if (!lost) return;
    lost = false;
    $("banner").hidden = true;
    announce(t("online"));
    onBack();
  };
  events.addEventListener("unreachable", () => {
    if (lost) return;
    lost = true;
    fill($("banner"), icon("off"), h("span", {}, t("offline")), button(t("tryNow"), { onclick: () => ask(0) }));
    $("banner").hidden = false;
    timer = setTimeout(ask, WAITS_MS[0], 1);
  });
  addEventListener("online", () => lost && ask(0));
}

async function answers() {
  try {
    await fetch("health", { cache: "no-store" }); // any answer is one
    return true;
  } catch {
    return false;
  }
}

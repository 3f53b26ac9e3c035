// Adds that were accepted and are done later: how many there are, what became of each.

import { Problem, Unreachable, get, remove } from "./api.js";
import { openDialog } from "./dialog.js";
import { $, button, fill, h, toast } from "./dom.js";
import { ago, exactly, t } from "./i18n.js";
import { explanation } from "./states.js";

const LOOK_MS = 3000;
const SHOWN = 50;

let timer;
let waiting = 0;
let ended = () => {};

/** `onEnded` is called when some have ended that were waited for. */
export function start(onEnded) {
  ended = onEnded;
  $("queue-open").addEventListener("click", open);
  load();
}

/** Show how many wait and run, and look again as long as there are any. */
export async function load() {
  clearTimeout(timer);
  try {
    const found = await get(`jobs?limit=1`);
    count(found.pending + found.running, found.jobs.length > 0);
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
  }
  if (waiting > 0) timer = setTimeout(load, LOOK_MS);
}

function count(number, any) {
  const before = waiting;
  waiting = number;
  $("queue-open").hidden = !any;
  $("queue-count").textContent = number === 0 ? t("queueTitle") : t("queueCount", number);
  if (number < before) ended();
}

function open() {
  const list = h("ul", { class: "key-list" });
  openDialog({
    title: t("queueTitle"),
    content: [h("p", { class: "hint" }, t("queueText")), list],
    action: t("refresh"),
    submit: open,
  });
  draw(list);
}

async function draw(list) {
  let shown;
  try {
    shown = (await get(`jobs?limit=${SHOWN}`)).jobs.map((job) => entry(job, list));
  } catch (error) {
    shown = h("li", { class: "failed" }, explanation(error));
  }
  fill(list, shown);
}

function entry(job, list) {
  const whose = ["user_id", "agent_id", "app_id", "run_id"].filter((kind) => job[kind]);
  const cancel = button(t("cancelJob"), { class: "quiet danger", onclick: () => drop(job.job, list) });
  return h(
    "li",
    { class: job.ended_at ? "ended" : null },
    h(
      "div",
      { class: "row" },
      h("span", {}, t(`job_${job.status}`)),
      h("span", { class: "key-scope" }, whose.map((kind) => `${t(kind)} ${job[kind]}`).join(", ")),
      h("span", { class: "grow" }),
      job.status === "pending" && cancel,
    ),
    h("p", { class: "hint", title: exactly(job.created_at) }, facts(job).join(" · ")),
  );
}

function facts(job) {
  return [ago(job.created_at), job.attempts > 1 && t("attempts", job.attempts), job.problem?.detail].filter(Boolean);
}

async function drop(id, list) {
  try {
    await remove(`jobs/${id}`);
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
    toast(error.message || t("offline"));
  }
  draw(list);
  load();
}

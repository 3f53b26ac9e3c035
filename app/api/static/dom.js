// The page's only way to make elements. Texts become text nodes, never HTML.

import { t } from "./i18n.js";

export const $ = (id) => document.getElementById(id);

/**
 * An element. Attributes that are functions are listeners (`onclick`), true sets an attribute
 * without a value, and false, null and undefined leave it out. Children may be nested lists.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false && child !== "");
}

export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function button(label, attributes = {}, symbol = null) {
  return h("button", { type: "button", ...attributes }, symbol && icon(symbol), h("span", {}, label));
}

/** What is written in index.html itself, in the reader's language. */
export function translate() {
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    if (element.matches("button")) element.title = t(element.dataset.label);
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.placeholder = t(element.dataset.placeholder);
  }
}

/** Say it to screen readers. */
export function announce(text) {
  $("status").textContent = text;
}

const TOAST_MS = 6000;

/** Say it to everybody, for a while, with a link where one helps. */
export function toast(text, link = null) {
  const shown = h("div", { class: "toast" }, h("span", {}, text), link && h("a", { href: link.href }, link.text));
  $("toasts").replaceChildren(shown);
  let timer = setTimeout(() => shown.remove(), TOAST_MS);
  // It stays for as long as somebody may be about to use its link.
  shown.addEventListener("pointerenter", () => clearTimeout(timer));
  shown.addEventListener("focusin", () => clearTimeout(timer));
  shown.addEventListener("pointerleave", () => (timer = setTimeout(() => shown.remove(), TOAST_MS)));
  shown.addEventListener("focusout", () => (timer = setTimeout(() => shown.remove(), TOAST_MS)));
  shown.addEventListener("click", () => shown.remove());
}

/** Up, Down, Home and End move the focus between the elements that `selector` finds. */
export function arrows(container, selector) {
  container.addEventListener("keydown", (event) => {
    if (!event.target.matches(selector) || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...container.querySelectorAll(selector)];
    const here = all.indexOf(event.target);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all[to]) return;
    event.preventDefault();
    all[to].focus();
  });
}

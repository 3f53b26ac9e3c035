// A modal dialog with a form. Esc closes it, and the focus goes back to where it was: <dialog> does.

import { button, fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { explanation } from "./states.js";

let opened = 0; // one may open over another: the one that asks for a key

/**
 * Open one. `submit()` does what the form is for; the dialog closes when it returns, and shows
 * what it throws. It may throw a Wrong to point at a field. `closed()` comes last.
 */
export function openDialog({ title, content, action, danger = false, submit, closed }) {
  const failed = h("div", { class: "failed", role: "alert" });
  const send = button(action, { type: "submit", class: danger ? "primary danger" : "primary" });
  const leave = button(t("cancel"), { class: "outlined", onclick: () => dialog.close() });
  const heading = h("h2", { id: `dialog-${++opened}` }, title);
  const form = h("form", { novalidate: true }, heading, content, failed, h("div", { class: "buttons" }, leave, send));
  const dialog = h("dialog", { "aria-labelledby": heading.id }, form);
  let sending = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled || sending) return;
    sending = true;
    form.setAttribute("aria-busy", "true");
    await attempt(form, failed, submit, () => dialog.close());
    form.removeAttribute("aria-busy");
    sending = false;
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  (form.querySelector("[autofocus]") ?? leave).focus();
  return { dialog, send };
}

/** A field that has to be mended before the service is asked. */
export class Wrong extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

async function attempt(form, failed, submit, done) {
  fill(failed);
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  try {
    await submit();
    done();
  } catch (error) {
    if (error instanceof Wrong) {
      fill(failed, h("p", {}, error.message));
      point(form, error.field)?.focus();
    } else {
      fill(failed, ...explanation(error));
      for (const { field } of error.errors ?? []) point(form, field.split(".")[0]);
    }
  }
}

function point(form, name) {
  const input = form.elements.namedItem(name);
  if (!input) return null;
  const folded = input.closest("details");
  if (folded) folded.open = true;
  input.setAttribute("aria-invalid", "true");
  return input;
}

/** A labelled field, with a hint below it where there is one. */
export function field(label, input, hint = null) {
  const id = `field-${input.name}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
  );
}

export function checkbox(name, label, hint = null) {
  const input = h("input", { type: "checkbox", name, id: `field-${name}` });
  if (hint) input.setAttribute("aria-describedby", `field-${name}-hint`);
  return h(
    "div",
    { class: "check" },
    input,
    h("label", { for: input.id }, label),
    hint && h("p", { class: "hint", id: `field-${name}-hint` }, hint),
  );
}

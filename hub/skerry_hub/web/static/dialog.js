// Questions before something is done, in the browser's own dialog: Escape closes it.

import { h, labelled, problemBox } from "./dom.js";

/**
 * Ask, and do what `act(values)` does; resolve to its result, or null if the answer was no.
 * `word` has to be typed first, where something cannot be undone.
 * `fields` are [name, label, hint].
 */
export function ask({ title, text, verb, danger = false, word = "", fields = [], act }) {
  const problem = problemBox();
  const inputs = new Map(
    fields.map(([name]) => [name, h("input", { name, autocomplete: "off", maxlength: "200" })]),
  );
  const typed = word ? h("input", { autocomplete: "off", spellcheck: "false" }) : null;
  const go = h("button", { class: danger ? "danger" : "primary", disabled: Boolean(word) }, verb);
  typed?.addEventListener("input", () => {
    go.disabled = typed.value !== word;
  });
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" });
  let result = null;
  const form = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        if (go.disabled) return;
        go.disabled = true;
        problem.say(null);
        try {
          result = await act(
            Object.fromEntries([...inputs].map(([name, input]) => [name, input.value])),
          );
          dialog.close();
        } catch (error) {
          problem.say(error);
          go.disabled = false;
        }
      },
    },
    heading,
    ...[text].flat().map((each) => h("p", {}, each)),
    fields.map(([name, label, hint]) => labelled(label, inputs.get(name), hint)),
    typed ? labelled(`Type ${word} to confirm`, typed) : null,
    problem,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      go,
    ),
  );
  dialog.append(form);
  document.body.append(dialog);
  const before = document.activeElement;
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(result);
    });
    dialog.showModal();
    (inputs.values().next().value ?? typed ?? dialog.querySelector("button")).focus();
  });
}

// What is set for a device: its tags, and the values that it fetches.

import { call, get } from "./api.js";
import { ask } from "./dialog.js";
import { announce, h, labelled, problemBox, swap } from "./dom.js";

/** What it is called by, in searches and in the policy. */
export function tags(where, present, again) {
  const input = h("input", { value: present.join(" "), autocomplete: "off", spellcheck: "false" });
  const problem = problemBox();
  return h(
    "form",
    {
      class: "inline",
      onsubmit: async (event) => {
        event.preventDefault();
        problem.say(null);
        try {
          await call("PUT", `${where}/tags`, { tags: input.value.split(/\s+/).filter(Boolean) });
          await again("Tags are set");
        } catch (error) {
          problem.say(error);
        }
      },
    },
    labelled("Set tags", input, "Words, by spaces."),
    h("button", {}, "Save tags"),
    problem,
  );
}

/** What the device fetches at config/PATH. */
export function values(where, state) {
  const list = h("div", {}),
    problem = problemBox();
  const name = h("input", {
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    placeholder: "interval",
  });
  const value = h("input", { autocomplete: "off", placeholder: "60" });
  const format = h(
    "select",
    {},
    ["text", "json", "cbor", "bytes"].map((each) => h("option", {}, each)),
  );
  const at = (each) => `${where}/config/${each.split("/").map(encodeURIComponent).join("/")}`;
  async function load() {
    const said = await get(`${where}/config`);
    swap(
      list,
      said.values.length
        ? h(
            "table",
            { class: "small" },
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["Path", "Value", ""].map((each) =>
                  h("th", { scope: "col" }, each || h("span", { class: "hidden" }, "Actions")),
                ),
              ),
            ),
            h(
              "tbody",
              {},
              said.values.map((each) =>
                h(
                  "tr",
                  {},
                  h("th", { scope: "row", class: "mono" }, each.path),
                  h("td", { class: "mono wrap" }, each.text ?? `0x${each.hex}`),
                  h(
                    "td",
                    {},
                    h(
                      "button",
                      {
                        type: "button",
                        class: "quiet",
                        "data-key": `unset ${each.path}`,
                        "aria-label": `Unset ${each.path}`,
                        onclick: () => unset(each.path),
                      },
                      "Unset",
                    ),
                  ),
                ),
              ),
            ),
          )
        : h("p", { class: "hint" }, "Nothing is set: the device gets empty values."),
    );
  }
  async function unset(each) {
    const done = await ask({
      title: `Unset ${each}?`,
      verb: "Unset",
      text: "The device gets an empty value instead.",
      act: async () => (await call("DELETE", at(each)), true),
    });
    if (done) await load();
  }
  const form =
    state === "active"
      ? h(
          "form",
          {
            class: "inline",
            onsubmit: async (event) => {
              event.preventDefault();
              problem.say(null);
              const binary = ["cbor", "bytes"].includes(format.value);
              try {
                await call("PUT", at(name.value.trim()), {
                  format: format.value,
                  [binary ? "hex" : "text"]: value.value,
                });
                name.value = value.value = "";
                announce("The value is set");
                await load();
              } catch (error) {
                problem.say(error);
              }
            },
          },
          labelled("Path", name),
          labelled("Value", value, "In hexadecimal digits if it is cbor or bytes."),
          labelled("Format", format),
          h("button", {}, "Set value"),
          problem,
        )
      : null;
  load().catch(problem.say);
  return h("section", { class: "card" }, h("h2", {}, "Values it fetches"), list, form);
}

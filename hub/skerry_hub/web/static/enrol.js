// Enrolling a device: say who it is, print its label, take its bundle.

import { call, device as path, file } from "./api.js";
import { announce, h, labelled, problemBox, put } from "./dom.js";

const STEPS = ["Who it is", "Its label", "Its bundle"];

export async function enrol({ root, may }) {
  if (!may("enrol")) {
    root.append(
      h(
        "div",
        { class: "card empty" },
        h("h1", {}, "Enrol a device"),
        h(
          "p",
          {},
          "Your token lacks the scope enrol: make one with ",
          h("code", {}, "skerry token new NAME --scope enrol"),
          ".",
        ),
      ),
    );
    return;
  }
  const steps = h("ol", { class: "steps" }),
    stage = h("div", {});
  root.append(h("h1", {}, "Enrol a device"), steps, stage);

  function step(number, ...content) {
    put(
      steps,
      STEPS.map((name, index) =>
        h(
          "li",
          {
            "aria-current": index === number ? "step" : null,
            class: index < number ? "done" : "",
          },
          name,
        ),
      ),
    );
    put(stage, content);
    const heading = stage.querySelector("h2");
    heading.tabIndex = -1;
    if (number) heading.focus();
  }

  function who() {
    const id = h("input", {
      name: "id",
      autocomplete: "off",
      spellcheck: "false",
      autocapitalize: "none",
      maxlength: "63",
      pattern: "[a-z0-9][a-z0-9._\\-]{0,62}",
    });
    const text = h("input", { name: "label", autocomplete: "off", maxlength: "200" });
    const address = h("input", {
      name: "address",
      autocomplete: "off",
      spellcheck: "false",
      inputmode: "url",
      placeholder: "hub.example:5683",
    });
    const tags = h("input", { name: "tags", autocomplete: "off", spellcheck: "false" });
    const problem = problemBox(),
      button = h("button", { class: "primary" }, "Enrol");
    step(
      0,
      h(
        "form",
        {
          class: "card form",
          onsubmit: async (event) => {
            event.preventDefault();
            button.disabled = true;
            problem.say(null);
            try {
              const done = await call("POST", "/devices", {
                id: id.value.trim(),
                label: text.value.trim(),
                address: address.value.trim(),
                tags: tags.value.split(/\s+/).filter(Boolean),
              });
              announce(`${done.id} is enrolled`);
              labelStep(done);
            } catch (error) {
              problem.say(error);
              button.disabled = false;
              id.focus();
            }
          },
        },
        h("h2", {}, STEPS[0]),
        labelled("Id", id, "Lowercase letters, digits, dots, dashes. Left empty, one is made up."),
        labelled("Label", text, "For people: where it is, what it does."),
        labelled(
          "Address of the hub",
          address,
          "Where this device finds the hub. Left empty, the hub's own.",
        ),
        labelled("Tags", tags, "Words, by spaces."),
        problem,
        button,
      ),
    );
  }

  function labelStep(done) {
    step(
      1,
      labelCard(done.id, done.label, done.fingerprint, STEPS[1]),
      h(
        "div",
        { class: "buttons start" },
        h(
          "button",
          { type: "button", class: "primary", onclick: () => bundleStep(done) },
          "Go on to the bundle",
        ),
      ),
    );
  }

  function bundleStep(done) {
    step(
      2,
      h("section", { class: "card" }, h("h2", {}, STEPS[2]), handOver(done)),
      h(
        "div",
        { class: "buttons start" },
        h(
          "a",
          { class: "button", href: `#/devices/${encodeURIComponent(done.id)}` },
          `Go to ${done.id}`,
        ),
        h("button", { type: "button", onclick: who }, "Enrol another one"),
      ),
    );
  }

  who();
}

/** The one download of a bundle. */
export function handOver(done) {
  const problem = problemBox(),
    said = h("div", { role: "status" });
  const button = h(
    "button",
    {
      type: "button",
      class: "primary",
      onclick: async () => {
        button.disabled = true;
        problem.say(null);
        try {
          save(await file("POST", `${path(done.id)}/bundle`), `${done.id}.zip`);
        } catch (error) {
          problem.say(error);
          button.disabled = error.status === 410;
          return;
        }
        put(
          said,
          h(
            "p",
            {},
            h("strong", {}, "The bundle is in your downloads, and the hub has erased its copy."),
          ),
          h(
            "p",
            {},
            "Copy both files of it to the board's root folder, then delete the download:",
            " whoever has it can be this device.",
          ),
        );
      },
    },
    "Download the bundle",
  );
  return [
    h("p", {}, "The bundle is the device's key. It can be downloaded once, by you alone."),
    button,
    problem,
    said,
  ];
}

function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** A label to print: who the device is, for people and for a scanner. */
export function labelCard(id, text, fingerprint, title = "Label") {
  return h(
    "section",
    { class: "card" },
    h("h2", {}, title),
    h(
      "div",
      { class: "sticker" },
      h("img", {
        src: `/api/v1${path(id)}/label.svg?key=${fingerprint}`,
        alt: `Code of ${id}: its id, hub and fingerprint`,
        width: "112",
        height: "112",
      }),
      h(
        "div",
        {},
        h("p", { class: "sticker-id" }, id),
        text ? h("p", {}, text) : null,
        h("p", { class: "mono" }, fingerprint),
      ),
    ),
    h("p", { class: "hint" }, "There is no key in it: it may be seen by anybody."),
    h("button", { type: "button", onclick: () => print() }, "Print the label"),
  );
}

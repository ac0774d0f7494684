// One device: what it is, why it is silent, what it said and what was done to it.

import { call, device as path, get } from "./api.js";
import { timeline } from "./audit.js";
import { badge } from "./devices.js";
import { ask } from "./dialog.js";
import { described, pieces, readingTable } from "./device_facts.js";
import { tags, values } from "./device_forms.js";
import { announce, h, put, swap } from "./dom.js";
import { handOver, labelCard } from "./enrol.js";

export async function device({ root, every, may, signal }, _, id) {
  const where = path(id);
  const head = h("div", {}),
    facts = h("dl", { class: "facts" }),
    actions = h("div", { class: "actions" });
  const findings = h("ul", { class: "findings" });
  let found = null;

  async function refresh() {
    found = await get(where);
    if (signal.aborted) return;
    swap(
      head,
      h("h1", {}, id),
      h("p", { class: "lead" }, badge(found.device.state), " ", found.device.label),
    );
    swap(facts, described(found));
    swap(actions, buttons());
  }

  async function explain() {
    const said = await get(`${where}/explain`);
    if (signal.aborted) return;
    swap(
      findings,
      said.findings.map((each) =>
        h(
          "li",
          { class: each.remedy ? "wrong" : "well" },
          h("p", {}, h("strong", {}, each.cause), ": ", `${each.text}.`),
          each.remedy ? h("p", { class: "hint" }, each.remedy) : null,
        ),
      ),
    );
  }

  async function again(text) {
    announce(text);
    await Promise.all([refresh(), explain(), history.anew()]);
  }

  function buttons() {
    const state = found.device.state,
      former = id.includes("~");
    const made = [];
    const add = (name, danger, open) =>
      made.push(
        h(
          "button",
          { type: "button", class: danger ? "danger-quiet" : "", "data-key": name, onclick: open },
          name,
        ),
      );
    if (may("operate") && state === "active") {
      add("Poke", false, poke);
      add("Quarantine", false, () =>
        act("quarantine", {
          verb: "Quarantine",
          fields: [["reason", "Reason", "For the audit log."]],
          text: "Its session ends and it is answered no more. Its keys stay: it can be released.",
        }),
      );
    }
    if (may("operate") && state === "quarantined")
      add("Release", false, () =>
        act("release", {
          verb: "Release",
          text: "The same board may connect again. Do this only if you trust it.",
        }),
      );
    if (may("operate") && state !== "revoked")
      add("Revoke", true, () =>
        act("revoke", {
          verb: "Revoke",
          danger: true,
          word: id,
          text: [
            "Its keys are erased and its session ends. This cannot be undone.",
            "The same id can get a new key later, for which a board has to be flashed again.",
          ],
        }),
      );
    if (may("enrol") && may("operate") && state === "revoked" && !former)
      add("Give a new key", false, undelete);
    if (!made.length)
      made.push(
        h(
          "p",
          { class: "hint" },
          may("operate")
            ? "There is nothing to do in this state."
            : "Your token lacks the scope operate: you can look, not act.",
        ),
      );
    return made;
  }

  async function act(verb, asked) {
    const done = await ask({
      title: `${asked.verb} ${id}?`,
      ...asked,
      act: (values) =>
        call("POST", `${where}/${verb}`, verb === "quarantine" ? values : undefined),
    });
    if (done) await again(`${id} is ${done.state}`);
  }

  async function poke() {
    const done = await ask({
      title: `Poke ${id}?`,
      verb: "Poke",
      text: "It is asked for a new session where it was heard last, and answers when it is awake.",
      act: () => call("POST", `${where}/poke`),
    });
    if (done) await again(`${id} was asked for a new session at ${done.address}`);
  }

  async function undelete() {
    const done = await ask({
      title: `Give ${id} a new key?`,
      verb: "Make a new key",
      text: [
        "Its former key is gone for good. Its label, tags and readings stay.",
        "The new bundle is for its board.",
      ],
      act: () => call("POST", `${where}/undelete`),
    });
    if (!done) return;
    await again(`${id} has a new key`);
    put(
      handed,
      h("section", { class: "card" }, h("h2", {}, "The bundle for its board"), handOver(done)),
    );
    handed.querySelector("button")?.focus();
  }

  const handed = h("div", {});
  const history = pieces({
    title: "History",
    path: `${where}/audit`,
    name: "entries",
    draw: (entries) => timeline(entries, true),
    none: "Nothing was done to it yet.",
    signal,
  });
  const readings = pieces({
    title: "Readings",
    path: `${where}/readings`,
    name: "readings",
    draw: readingTable,
    none: "It has posted nothing yet.",
    signal,
  });

  await Promise.all([refresh(), explain()]);
  if (signal.aborted) return;
  root.append(
    h("p", {}, h("a", { href: "#/devices" }, "← All devices")),
    h("div", { class: "head" }, head, actions),
    handed,
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        {},
        h("section", { class: "card" }, h("h2", {}, "Why it is silent, or not"), findings),
        readings.element,
        may("operate") ? values(where, found.device.state) : null,
      ),
      h(
        "div",
        {},
        h(
          "section",
          { class: "card" },
          h("h2", {}, "What it is"),
          facts,
          may("operate") ? tags(where, found.device.tags, again) : null,
        ),
        labelCard(id, found.device.label, found.device.fingerprint),
        history.element,
      ),
    ),
  );
  await Promise.all([history.anew(), readings.anew()]);
  every(4, async () => {
    const before = found.device.readings;
    await refresh();
    if (found.device.readings !== before) await readings.anew();
  });
  every(10, explain);
}

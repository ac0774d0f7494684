// One device: what it is, why it is silent, what it said and what was done to it.

import { call, device as path, get, query } from "./api.js";
import { badge } from "./devices.js";
import { ask } from "./dialog.js";
import { announce, h, labelled, problemBox, put, swap } from "./dom.js";
import { handOver, labelCard } from "./enrol.js";
import { ago, count, when } from "./format.js";
import { timeline } from "./audit.js";

const PIECE = 20;

export async function device({ root, every, may, signal }, _, id) {
  const where = path(id);
  const head = h("div", {}), facts = h("dl", { class: "facts" }), actions = h("div", { class: "actions" });
  const findings = h("ul", { class: "findings" });
  let found = null;

  async function refresh() {
    found = await get(where);
    if (signal.aborted) return;
    swap(head, h("h1", {}, id), h("p", { class: "lead" }, badge(found.device.state), " ", found.device.label));
    swap(facts, described(found));
    swap(actions, buttons());
  }

  async function explain() {
    const said = await get(`${where}/explain`);
    if (signal.aborted) return;
    swap(findings, said.findings.map((each) => h("li", { class: each.remedy ? "wrong" : "well" },
      h("p", {}, h("strong", {}, each.cause), ": ", `${each.text}.`), each.remedy ? h("p", { class: "hint" }, each.remedy) : null)));
  }

  async function again(text) {
    announce(text);
    await Promise.all([refresh(), explain(), history.anew()]);
  }

  function buttons() {
    const state = found.device.state, former = id.includes("~");
    const made = [];
    const add = (name, danger, open) => made.push(h("button", { type: "button", class: danger ? "danger-quiet" : "", "data-key": name, onclick: open }, name));
    if (may("operate") && state === "active") {
      add("Poke", false, poke);
      add("Quarantine", false, () => act("quarantine", { verb: "Quarantine", fields: [["reason", "Reason", "For the audit log."]], text: "Its session ends and it is answered no more. Its keys stay: it can be released." }));
    }
    if (may("operate") && state === "quarantined") add("Release", false, () => act("release", { verb: "Release", text: "The same board may connect again. Do this only if you trust it." }));
    if (may("operate") && state !== "revoked") add("Revoke", true, () => act("revoke", { verb: "Revoke", danger: true, word: id, text: ["Its keys are erased and its session ends. This cannot be undone.", "The same id can get a new key later, for which a board has to be flashed again."] }));
    if (may("enrol") && state === "revoked" && !former) add("Give a new key", false, undelete);
    if (!made.length) made.push(h("p", { class: "hint" }, may("operate") ? "There is nothing to do in this state." : "Your token lacks the scope operate: you can look, not act."));
    return made;
  }

  async function act(verb, asked) {
    const done = await ask({ title: `${asked.verb} ${id}?`, ...asked, act: (values) => call("POST", `${where}/${verb}`, verb === "quarantine" ? values : undefined) });
    if (done) await again(`${id} is ${done.state}`);
  }

  async function poke() {
    const done = await ask({ title: `Poke ${id}?`, verb: "Poke", text: "It is asked for a new session where it was heard last, and answers when it is awake.", act: () => call("POST", `${where}/poke`) });
    if (done) await again(`${id} was asked for a new session at ${done.address}`);
  }

  async function undelete() {
    const done = await ask({ title: `Give ${id} a new key?`, verb: "Make a new key", text: "Its former key is gone for good. Its label, tags and readings stay; the new bundle is for its board.", act: () => call("POST", `${where}/undelete`) });
    if (!done) return;
    await again(`${id} has a new key`);
    put(handed, h("section", { class: "card" }, h("h2", {}, "The bundle for its board"), handOver(done)));
    handed.querySelector("button")?.focus();
  }

  const handed = h("div", {});
  const history = pieces({ title: "History", path: `${where}/audit`, name: "entries", draw: (entries) => timeline(entries, true), none: "Nothing was done to it yet.", signal });
  const readings = pieces({ title: "Readings", path: `${where}/readings`, name: "readings", draw: readingTable, none: "It has posted nothing yet.", signal });

  await Promise.all([refresh(), explain()]);
  if (signal.aborted) return;
  root.append(h("p", {}, h("a", { href: "#/devices" }, "← All devices")), h("div", { class: "head" }, head, actions), handed,
    h("div", { class: "columns" },
      h("div", {}, h("section", { class: "card" }, h("h2", {}, "Why it is silent, or not"), findings), readings.element, may("operate") ? values(where, found.device.state) : null),
      h("div", {}, h("section", { class: "card" }, h("h2", {}, "What it is"), facts, may("operate") ? tags(where, found.device.tags, again) : null),
        labelCard(id, found.device.label, found.device.fingerprint), history.element)));
  await Promise.all([history.anew(), readings.anew()]);
  every(4, async () => {
    const before = found.device.readings;
    await refresh();
    if (found.device.readings !== before) await readings.anew();
  });
  every(10, explain);
}

function described({ device, session, last_reading: last }) {
  const fact = (name, ...value) => [h("dt", {}, name), h("dd", {}, value)];
  const mono = (text) => h("span", { class: "mono" }, text);
  return [
    fact("Key", mono(device.fingerprint)),
    fact("Epoch", mono(`${device.era}.${device.step}`)),
    fact("Session", session ? [h("span", { class: "spot live", "aria-hidden": "true" }), " live, ", mono(session.fingerprint), h("span", { class: "hint block" }, `from ${session.address}, heard ${Math.round(session.heard_s)} s ago`)] : device.session_fingerprint ? ["none; the last was ", mono(device.session_fingerprint)] : "never had one"),
    fact("Last seen", device.seen_at === null ? "never" : [ago(device.seen_at), h("span", { class: "hint block" }, when(device.seen_at))]),
    fact("Readings", count(device.readings), last ? h("span", { class: "hint block" }, `last ${ago(last.at)}`) : null),
    fact("Enrolled", when(device.enrolled_at)),
    fact("Tags", device.tags.length ? device.tags.map((each) => h("a", { class: "tag", href: `#/devices${query({ tag: each })}`, "data-key": `tag ${each}` }, each)) : "none"),
    device.board ? fact("Board", device.board, device.chip ? h("span", { class: "hint block mono" }, device.chip) : null) : null,
    fact("Suite", String(device.suite)),
  ];
}

/** A list that grows piece by piece, newest first. */
function pieces({ title, path: from, name, draw, none, signal }) {
  const list = h("div", {});
  const more = h("button", { type: "button", hidden: true, onclick: () => load(next) }, "Older");
  let all = [], next = null;
  async function load(before) {
    const said = await get(`${from}${query({ before, limit: PIECE })}`);
    if (signal.aborted) return;
    all = before ? [...all, ...said[name]] : said[name];
    next = said.next;
    swap(list, all.length ? draw(all) : h("p", { class: "hint" }, none));
    more.hidden = next === null;
  }
  return { element: h("section", { class: "card" }, h("h2", {}, title), list, more), anew: () => load("") };
}

function readingTable(readings) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Readings, newest first" }, h("table", { class: "small" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "When"), h("th", { scope: "col" }, "What"))),
    h("tbody", {}, readings.map((each) => h("tr", {},
      h("td", {}, h("time", { datetime: new Date(each.at * 1000).toISOString(), title: when(each.at) }, ago(each.at))),
      h("td", { class: "mono wrap" }, each.text ?? `0x${each.hex}`))))));
}

function tags(where, present, again) {
  const input = h("input", { value: present.join(" "), autocomplete: "off", spellcheck: "false" });
  const problem = problemBox();
  return h("form", { class: "inline", onsubmit: async (event) => {
    event.preventDefault();
    problem.say(null);
    try {
      await call("PUT", `${where}/tags`, { tags: input.value.split(/\s+/).filter(Boolean) });
      await again("Tags are set");
    } catch (error) { problem.say(error); }
  } }, labelled("Set tags", input, "Words, by spaces."), h("button", {}, "Save tags"), problem);
}

/** What the device fetches at config/PATH. */
function values(where, state) {
  const list = h("div", {}), problem = problemBox();
  const name = h("input", { autocomplete: "off", spellcheck: "false", required: true, placeholder: "interval" });
  const value = h("input", { autocomplete: "off", placeholder: "60" });
  const format = h("select", {}, ["text", "json", "cbor", "bytes"].map((each) => h("option", {}, each)));
  const at = (each) => `${where}/config/${each.split("/").map(encodeURIComponent).join("/")}`;
  async function load() {
    const said = await get(`${where}/config`);
    swap(list, said.values.length ? h("table", { class: "small" }, h("thead", {}, h("tr", {}, ["Path", "Value", ""].map((each) => h("th", { scope: "col" }, each || h("span", { class: "hidden" }, "Actions"))))),
      h("tbody", {}, said.values.map((each) => h("tr", {}, h("th", { scope: "row", class: "mono" }, each.path), h("td", { class: "mono wrap" }, each.text ?? `0x${each.hex}`),
        h("td", {}, h("button", { type: "button", class: "quiet", "data-key": `unset ${each.path}`, "aria-label": `Unset ${each.path}`, onclick: () => unset(each.path) }, "Unset")))))) : h("p", { class: "hint" }, "Nothing is set: the device gets empty values."));
  }
  async function unset(each) {
    const done = await ask({ title: `Unset ${each}?`, verb: "Unset", text: "The device gets an empty value instead.", act: async () => (await call("DELETE", at(each)), true) });
    if (done) await load();
  }
  const form = state === "active" ? h("form", { class: "inline", onsubmit: async (event) => {
    event.preventDefault();
    problem.say(null);
    const binary = ["cbor", "bytes"].includes(format.value);
    try {
      await call("PUT", at(name.value.trim()), { format: format.value, [binary ? "hex" : "text"]: value.value });
      name.value = value.value = "";
      announce("The value is set");
      await load();
    } catch (error) { problem.say(error); }
  } }, labelled("Path", name), labelled("Value", value, "In hexadecimal digits if it is cbor or bytes."), labelled("Format", format), h("button", {}, "Set value"), problem) : null;
  load().catch(problem.say);
  return h("section", { class: "card" }, h("h2", {}, "Values it fetches"), list, form);
}

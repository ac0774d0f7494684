// The fleet at a glance.

import { get, query } from "./api.js";
import { chart } from "./chart.js";
import { h, put, swap } from "./dom.js";
import { count, duration, plural } from "./format.js";
import { tried } from "./trouble.js";

const STATES = [
  ["active", "Active", "may connect"],
  ["pending", "Pending", "being flashed"],
  ["quarantined", "Quarantined", "cut off, keys kept"],
  ["revoked", "Revoked", "keys erased"],
];
const SPANS = [
  [1, "1 hour"],
  [6, "6 hours"],
  [24, "24 hours"],
];

// What each cause means: docs/operating.md, "A device is silent".
const CAUSES = {
  "bad tag":
    "A device's pseudonym with another key's tag: its store is damaged, or somebody tampers.",
  unknown:
    "Handshakes of no device that is known here: another hub's, or one whose flash went back.",
  "unknown session": "Requests in a session that ended. Devices make a new one by themselves.",
  malformed: "Datagrams that are no messages of ours: scanners, or other programs at this port.",
  rejected: "Requests that do not open under their session's key: forged, replayed or damaged.",
  overtaken: "Another hub was faster, or the device was cut off meanwhile.",
  unreadable: "A stored key does not open: the hub has the wrong row key. See its log.",
  rollback: "The database went back in time: all sessions ended. Was a backup put in place?",
  "store failed":
    "The database did not take a write, so nobody was answered. See the hub's log: disk full?",
  "plain dropped": "Plain CoAP beyond the rate that the hub answers.",
};

const TONES = ["tone-4", "tone-3", "tone-5", "tone-2", "tone-6", "tone-1"];

export async function overview({ root, every, may }) {
  const tiles = h("ul", { class: "tiles" });
  const charts = h("div", { class: "charts" });
  const failures = h("div", {});
  const since = h("p", { class: "lead" });
  let hours = 1;

  const picker = h(
    "fieldset",
    { class: "segments" },
    h("legend", { class: "hidden" }, "Time shown"),
    SPANS.map(([value, text]) =>
      h(
        "label",
        {},
        h("input", {
          type: "radio",
          name: "span",
          value: String(value),
          checked: value === hours,
          onchange: () => {
            hours = value;
            return tried(redraw)();
          },
        }),
        h("span", {}, text),
      ),
    ),
  );

  async function refresh() {
    const status = await get("/status");
    const ran = duration(status.now - status.started_at);
    since.textContent = `Hub ${status.hub} has run for ${ran}.`;
    swap(
      tiles,
      tile("In a session", status.sessions, "live now", "#/devices", "live"),
      STATES.map(([state, name, text]) =>
        tile(name, status.devices[state] ?? 0, text, `#/devices${query({ state })}`, state),
      ),
    );
    const known = Object.values(status.devices).reduce((all, each) => all + each, 0);
    empty.hidden = known > 0;
    swap(failures, failed(status.failures));
  }

  async function redraw() {
    const { begun_at, step_s, series } = await get(`/rates?hours=${hours}`);
    const at = (index) => begun_at + index * step_s;
    const steps = (hours * 3600) / step_s;
    const one = (title, name, tone, sum = true) =>
      chart({
        title,
        at,
        step: step_s,
        steps,
        sum,
        series: [{ name: title.toLowerCase(), values: series[name] ?? [], tone }],
      });
    const causes = Object.keys(series).filter(
      (name) => name.startsWith("failures: ") && series[name].some(Boolean),
    );
    const failing = causes.map((name, index) => ({
      name: name.slice(10),
      values: series[name],
      tone: TONES[index % TONES.length],
    }));
    const none = [{ name: "failures", values: series.requests.map(() => 0), tone: TONES[0] }];
    put(
      charts,
      one("Live sessions", "sessions", "tone-1", false),
      one("Requests", "requests", "tone-2"),
      one("Handshakes", "handshakes", "tone-3"),
      chart({
        title: "Failures",
        at,
        step: step_s,
        steps,
        series: failing.length ? failing : none,
      }),
    );
  }

  const empty = h(
    "section",
    { class: "card empty", hidden: true },
    h("h2", {}, "No devices yet"),
    h(
      "p",
      {},
      may("enrol")
        ? "Enrol the first one: you get a label to print and the bundle for its board."
        : "Enrol the first one with skerry enroll, or with a token that has the scope enrol.",
    ),
    may("enrol") ? h("a", { class: "button primary", href: "#/enrol" }, "Enrol a device") : null,
  );

  root.append(
    h("div", { class: "head" }, h("div", {}, h("h1", {}, "Overview"), since)),
    empty,
    tiles,
    h("div", { class: "head" }, h("h2", {}, "Over time"), picker),
    charts,
    h("h2", {}, "Failures since the start, by cause"),
    failures,
  );
  await Promise.all([refresh(), redraw()]);
  every(3, refresh);
  every(10, async () => {
    if (!charts.querySelector("details[open]") && !charts.matches(":hover, :focus-within"))
      await redraw();
  });
}

function tile(name, value, text, href, state) {
  return h(
    "li",
    {},
    h(
      "a",
      { class: "tile", href, "data-key": name },
      h(
        "span",
        { class: "tile-name" },
        h("span", { class: `spot ${state}`, "aria-hidden": "true" }),
        name,
      ),
      h("span", { class: "tile-value" }, count(value)),
      h("span", { class: "hint" }, text),
    ),
  );
}

function failed(failures) {
  const found = Object.entries(failures)
    .filter(([, number]) => number > 0)
    .sort((one, other) => other[1] - one[1]);
  if (!found.length)
    return h(
      "p",
      { class: "card quiet-card" },
      "None. Whatever fails from now on is listed here with what it means.",
    );
  const most = found[0][1];
  return h(
    "ul",
    { class: "card causes" },
    found.map(([cause, number]) =>
      h(
        "li",
        {},
        h(
          "div",
          { class: "cause-head" },
          h("strong", {}, cause),
          h("span", { class: "number" }, plural(number, "message")),
        ),
        h("meter", {
          min: "0",
          max: String(most),
          value: String(number),
          "aria-label": `${cause}: ${number}`,
        }),
        h("p", { class: "hint" }, CAUSES[cause] ?? ""),
      ),
    ),
  );
}

// What is told of a device: its facts, and lists that grow.

import { get, query } from "./api.js";
import { h, swap } from "./dom.js";
import { ago, count, when } from "./format.js";
import { tried } from "./trouble.js";

const PIECE = 20;

export function described({ device, session, last_reading: last }) {
  const fact = (name, ...value) => [h("dt", {}, name), h("dd", {}, value)];
  const mono = (text) => h("span", { class: "mono" }, text);
  return [
    fact("Key", mono(device.fingerprint)),
    fact("Epoch", mono(`${device.era}.${device.step}`)),
    fact(
      "Session",
      session
        ? [
            h("span", { class: "spot live", "aria-hidden": "true" }),
            " live, ",
            mono(session.fingerprint),
            h(
              "span",
              { class: "hint block" },
              `from ${session.address}, heard ${Math.round(session.heard_s)} s ago`,
            ),
          ]
        : device.session_fingerprint
          ? ["none; the last was ", mono(device.session_fingerprint)]
          : "never had one",
    ),
    fact(
      "Last seen",
      device.seen_at === null
        ? "never"
        : [ago(device.seen_at), h("span", { class: "hint block" }, when(device.seen_at))],
    ),
    fact(
      "Readings",
      count(device.readings),
      last ? h("span", { class: "hint block" }, `last ${ago(last.at)}`) : null,
    ),
    fact("Enrolled", when(device.enrolled_at)),
    fact(
      "Tags",
      device.tags.length
        ? device.tags.map((each) =>
            h(
              "a",
              {
                class: "tag",
                href: `#/devices${query({ tag: each })}`,
                "data-key": `tag ${each}`,
              },
              each,
            ),
          )
        : "none",
    ),
    device.board
      ? fact(
          "Board",
          device.board,
          device.chip ? h("span", { class: "hint block mono" }, device.chip) : null,
        )
      : null,
    fact("Suite", String(device.suite)),
  ];
}

/** A list that grows piece by piece, newest first. */
export function pieces({ title, path: from, name, draw, none, signal }) {
  const list = h("div", {});
  const more = h(
    "button",
    { type: "button", hidden: true, onclick: tried(() => load(next)) },
    "Older",
  );
  let all = [],
    next = null;
  async function load(before) {
    const said = await get(`${from}${query({ before, limit: PIECE })}`);
    if (signal.aborted) return;
    all = before ? [...all, ...said[name]] : said[name];
    next = said.next;
    swap(list, all.length ? draw(all) : h("p", { class: "hint" }, none));
    more.hidden = next === null;
  }
  return {
    element: h("section", { class: "card" }, h("h2", {}, title), list, more),
    anew: () => load(""),
  };
}

export function readingTable(readings) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": "Readings, newest first" },
    h(
      "table",
      { class: "small" },
      h(
        "thead",
        {},
        h("tr", {}, h("th", { scope: "col" }, "When"), h("th", { scope: "col" }, "What")),
      ),
      h(
        "tbody",
        {},
        readings.map((each) =>
          h(
            "tr",
            {},
            h(
              "td",
              {},
              h(
                "time",
                { datetime: new Date(each.at * 1000).toISOString(), title: when(each.at) },
                ago(each.at),
              ),
            ),
            h("td", { class: "mono wrap" }, each.text ?? `0x${each.hex}`),
          ),
        ),
      ),
    ),
  );
}

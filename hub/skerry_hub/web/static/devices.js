// All devices: search, filter, sort, page by page.

import { get, query } from "./api.js";
import { announce, h, labelled, swap } from "./dom.js";
import { ago, count, plural, when } from "./format.js";
import { tried } from "./trouble.js";

const PAGE = 50;
const REFRESHED = 200; // rows that are asked for again and again
const EMPTY_PAGES = 20; // that a search goes through by itself

const COLUMNS = [
  ["id", "Device", (each) => each.id],
  ["state", "State", (each) => each.state],
  ["live", "Session", (each) => (each.live ? 0 : 1)],
  ["epoch", "Epoch", (each) => each.era * 65536 + each.step],
  ["fingerprint", "Key", (each) => each.fingerprint],
  ["readings", "Readings", (each) => each.readings],
  ["seen", "Last seen", (each) => -(each.seen_at ?? 0)],
];

export function badge(state) {
  return h(
    "span",
    { class: `badge ${state}` },
    h("span", { class: `spot ${state}`, "aria-hidden": "true" }),
    state,
  );
}

export async function devices({ root, every, may, signal }, asked) {
  const wanted = {
    state: asked.get("state") ?? "",
    tag: asked.get("tag") ?? "",
    text: asked.get("text") ?? "",
  };
  let rows = [],
    next = null,
    order = null,
    turn = 0;

  const text = h("input", {
    type: "search",
    value: wanted.text,
    placeholder: "id, label or key",
    autocomplete: "off",
  });
  const tag = h("input", {
    type: "search",
    value: wanted.tag,
    autocomplete: "off",
    spellcheck: "false",
  });
  const state = h(
    "select",
    {},
    ["", "active", "pending", "quarantined", "revoked"].map((each) =>
      h("option", { value: each, selected: each === wanted.state }, each || "all"),
    ),
  );
  const filter = h(
    "form",
    {
      class: "filter",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        tried(search)();
      },
    },
    labelled("Search", text),
    labelled("State", state),
    labelled("Tag", tag),
  );
  const body = h("tbody", {});
  const headers = h("tr", {});
  const table = h(
    "table",
    { class: "devices" },
    h("caption", { class: "hidden" }, "Devices"),
    h("thead", {}, headers),
    body,
  );
  const about = h("p", { class: "hint" });
  const more = h("button", { type: "button", onclick: tried(() => load(false)) }, "Load more");
  const empty = h("div", { class: "card empty", hidden: true });

  function head() {
    swap(
      headers,
      COLUMNS.map(([key, name]) =>
        h(
          "th",
          {
            scope: "col",
            "aria-sort": order?.key === key ? (order.down ? "descending" : "ascending") : "none",
          },
          h(
            "button",
            { type: "button", class: "sort", "data-key": `sort ${key}`, onclick: () => sort(key) },
            name,
            h(
              "span",
              { class: "arrow", "aria-hidden": "true" },
              order?.key === key ? (order.down ? "↓" : "↑") : "↕",
            ),
          ),
        ),
      ),
    );
  }

  function sort(key) {
    order = { key, down: order?.key === key && !order.down };
    head();
    draw();
  }

  function sorted() {
    if (!order) return rows;
    const value = COLUMNS.find(([key]) => key === order.key)[2];
    const sign = order.down ? -1 : 1;
    return [...rows].sort((one, other) => {
      const a = value(one),
        b = value(other);
      return (
        sign * (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b)
      );
    });
  }

  function draw() {
    swap(body, sorted().map(row));
    const filtered = wanted.state || wanted.tag || wanted.text;
    table.hidden = rows.length === 0;
    empty.hidden = rows.length > 0;
    if (!empty.hidden) swap(empty, nothing(filtered, next !== null, may("enrol")));
    more.hidden = next === null;
    more.textContent = rows.length ? "Load more" : "Search on";
    about.textContent = rows.length
      ? plural(rows.length, "device") +
        (next === null ? "" : " so far") +
        (order ? ", sorted among these." : ", in the order of enrolment.")
      : "";
  }

  /** Load a page; a search looks on until it finds something, within bounds. */
  async function load(anew) {
    const mine = ++turn;
    let after = anew ? 0 : next,
      found = [];
    for (let pages = 0; after !== null && found.length === 0 && pages < EMPTY_PAGES; pages++) {
      const page = await get(`/devices${query({ ...wanted, after: after || "", limit: PAGE })}`);
      if (mine !== turn || signal.aborted) return;
      found = page.devices;
      after = page.next;
    }
    rows = anew ? found : [...rows, ...found];
    next = after;
    draw();
    announce(`${plural(rows.length, "device")} shown`);
  }

  async function search() {
    Object.assign(wanted, { state: state.value, tag: tag.value.trim(), text: text.value.trim() });
    history.replaceState(null, "", `#/devices${query(wanted)}`);
    await load(true);
  }

  let pause;
  for (const input of [text, tag]) {
    input.addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(tried(search), 250);
    });
  }
  state.addEventListener("change", tried(search));
  signal.addEventListener("abort", () => clearTimeout(pause));

  root.append(
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Devices"),
      may("enrol") ? h("a", { class: "button primary", href: "#/enrol" }, "Enrol a device") : null,
    ),
    filter,
    h("div", { class: "card flush" }, table),
    empty,
    h("div", { class: "under" }, about, more),
  );
  head();
  await load(true);
  every(5, async () => {
    if (rows.length > REFRESHED || (rows.length === 0 && next !== null)) return;
    const mine = turn,
      limit = Math.max(PAGE, rows.length);
    const page = await get(`/devices${query({ ...wanted, limit })}`);
    if (mine !== turn || signal.aborted) return;
    // A search of a large fleet may have stopped before the last row that is shown.
    const all =
      page.next === null ||
      page.devices.length === limit ||
      (next !== null && page.next >= next);
    if (all) {
      rows = page.devices;
      next = page.next;
    } else {
      const fresh = new Map(page.devices.map((each) => [each.id, each]));
      rows = rows.map((each) => fresh.get(each.id) ?? each);
    }
    draw();
  });
}

function row(each) {
  const cell = (name, ...children) => h("td", { "data-name": name }, h("span", {}, children));
  const seen =
    each.seen_at === null
      ? "never"
      : h(
          "time",
          { datetime: new Date(each.seen_at * 1000).toISOString(), title: when(each.seen_at) },
          ago(each.seen_at),
        );
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("a", { href: `#/devices/${encodeURIComponent(each.id)}`, "data-key": each.id }, each.id),
      each.label ? h("span", { class: "hint block" }, each.label) : null,
    ),
    cell("State", badge(each.state)),
    cell(
      "Session",
      each.live
        ? h(
            "span",
            { class: "badge live" },
            h("span", { class: "spot live", "aria-hidden": "true" }),
            "live",
          )
        : h("span", { class: "hint" }, "none"),
    ),
    cell("Epoch", h("span", { class: "mono" }, `${each.era}.${each.step}`)),
    cell("Key", h("span", { class: "mono" }, each.fingerprint)),
    cell("Readings", count(each.readings)),
    cell("Last seen", seen),
  );
}

function nothing(filtered, unfinished, mayEnrol) {
  if (unfinished)
    return [
      h("h2", {}, "Nothing found yet"),
      h("p", {}, "The fleet is large: search on, or look for an id's whole beginning."),
    ];
  if (filtered)
    return [
      h("h2", {}, "No device fits"),
      h("p", {}, "Take a part of the search away, or look at all states."),
    ];
  return [
    h("h2", {}, "No devices yet"),
    mayEnrol
      ? h("a", { class: "button primary", href: "#/enrol" }, "Enrol the first one")
      : h("p", {}, "Enrol the first one with skerry enroll."),
  ];
}

// Who did what.

import { get, query } from "./api.js";
import { h, labelled, swap } from "./dom.js";
import { ago, plural, when } from "./format.js";
import { tried } from "./trouble.js";

const PIECE = 50;

export async function audit({ root, signal, every }, asked) {
  const list = h("div", {}),
    about = h("p", { class: "hint" });
  const more = h(
    "button",
    { type: "button", hidden: true, onclick: tried(() => load(next)) },
    "Older entries",
  );
  const who = h("input", {
    type: "search",
    value: asked.get("device") ?? "",
    autocomplete: "off",
    spellcheck: "false",
  });
  let entries = [],
    next = null,
    turn = 0;

  async function load(before = "") {
    const mine = ++turn,
      device = who.value.trim();
    const said = await get(`/audit${query({ before, device, limit: PIECE })}`);
    if (mine !== turn || signal.aborted) return;
    entries = before ? [...entries, ...said.entries] : said.entries;
    next = said.next;
    swap(
      list,
      entries.length
        ? timeline(entries, false)
        : h(
            "p",
            { class: "hint" },
            device
              ? `Nothing is written about ${device}: is the id whole?`
              : "Nothing was done yet.",
          ),
    );
    more.hidden = next === null;
    about.textContent = entries.length
      ? `${plural(entries.length, "entry", "entries")}, newest first.`
      : "";
  }

  let pause;
  who.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => {
      history.replaceState(null, "", `#/audit${query({ device: who.value.trim() })}`);
      tried(load)();
    }, 250);
  });
  root.append(
    h("h1", {}, "Audit log"),
    h(
      "p",
      { class: "lead" },
      "Who did what. Each entry is hashed with the one before it; ",
      h("code", {}, "skerry audit --verify"),
      " checks all of them.",
    ),
    h(
      "form",
      {
        class: "filter",
        role: "search",
        onsubmit: (event) => {
          event.preventDefault();
          tried(load)();
        },
      },
      labelled("About the device", who, "Its whole id."),
    ),
    h("section", { class: "card" }, list),
    h("div", { class: "under" }, about, more),
  );
  await load();
  every(10, async () => {
    if (entries.length <= PIECE && !list.contains(document.activeElement)) await load();
  });
}

/** Entries as a list; `own` leaves out whose they are. */
export function timeline(entries, own) {
  return h(
    "ol",
    { class: "timeline" },
    entries.map((each) =>
      h(
        "li",
        {},
        h(
          "p",
          {},
          h("strong", {}, each.action),
          " ",
          !own && each.subject
            ? h(
                "a",
                {
                  href: `#/devices/${encodeURIComponent(each.subject)}`,
                  "data-key": `entry ${each.id}`,
                },
                each.subject,
              )
            : null,
          " ",
          h("span", { class: "hint" }, "by ", each.who),
        ),
        details(each.detail),
        h(
          "time",
          {
            class: "hint",
            datetime: new Date(each.at * 1000).toISOString(),
            title: when(each.at),
          },
          `${ago(each.at)} · #${each.id}`,
        ),
      ),
    ),
  );
}

function details(detail) {
  const said = Object.entries(detail).filter(
    ([, value]) => value !== "" && value !== null && !(Array.isArray(value) && !value.length),
  );
  if (!said.length) return null;
  return h(
    "p",
    { class: "details mono" },
    said
      .map(
        ([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`,
      )
      .join("  "),
  );
}

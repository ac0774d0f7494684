// The page: who is logged in, and which view the address names.

import { call, get, onEnd } from "./api.js";
import { audit } from "./audit.js";
import { device } from "./device.js";
import { devices } from "./devices.js";
import { announce, h, labelled, problemBox } from "./dom.js";
import { enrol } from "./enrol.js";
import { overview } from "./overview.js";
import { tried, trouble } from "./trouble.js";

const KNOWN = "skerry-session"; // that there may be one: the session itself is out of reach here
const main = document.getElementById("main");
const top = document.querySelector("header.top");
let session = null;
let shown = new AbortController();

/** What a view gets: an element, the scopes, and a way to do something again and again. */
function view() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const root = h("div", { class: "view" });
  main.replaceChildren(root);
  return {
    root,
    signal,
    may: (scope) => session.scopes.includes(scope),
    every(seconds, step) {
      let waiting = false;
      const timer = setInterval(async () => {
        if (waiting || document.hidden) return;
        waiting = true;
        await tried(step)();
        waiting = false;
      }, seconds * 1000);
      signal.addEventListener("abort", () => clearInterval(timer));
    },
  };
}

const ROUTES = [
  [/^\/$/, "Overview", overview],
  [/^\/devices$/, "Devices", devices],
  [/^\/devices\/([^/]+)$/, "Devices", device],
  [/^\/enrol$/, "Enrol", enrol],
  [/^\/audit$/, "Audit log", audit],
];

/** Return the name of a view, what opens it, and its arguments. */
function route(path) {
  for (const [form, name, open] of ROUTES) {
    const match = form.exec(path);
    try {
      if (match) return [name, open, match.slice(1).map(decodeURIComponent)];
    } catch {
      break; // no text at all
    }
  }
  return ["Not here", nowhere, []];
}

async function show({ focus = true } = {}) {
  const [path, search] = (location.hash.slice(1) || "/").split("?");
  if (!path.startsWith("/")) return; // the skip link
  const [name, open, args] = route(path);
  for (const link of top.querySelectorAll("nav a")) {
    const here = link.textContent === name;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const context = view();
  document.title = `${args[0] ?? name} – Skerry`;
  try {
    await open(context, new URLSearchParams(search), ...args);
    trouble(null);
  } catch (error) {
    if (error.status === 401) return;
    context.root.append(failure(name, error));
  }
  if (context.signal.aborted) return;
  const heading = context.root.querySelector("h1");
  if (focus && heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function failure(name, error) {
  return h(
    "div",
    { class: "card empty" },
    h("h1", {}, name),
    h("p", { class: "problem", role: "alert" }, error.message),
    h("button", { type: "button", onclick: () => show() }, "Try again"),
  );
}

function nowhere({ root }) {
  root.append(
    h(
      "div",
      { class: "card empty" },
      h("h1", {}, "There is no such page"),
      h("p", {}, h("a", { href: "#/" }, "Go to the overview")),
    ),
  );
}

function login(reason) {
  shown.abort();
  trouble(null);
  session = null;
  localStorage.removeItem(KNOWN);
  top.hidden = true;
  document.title = "Log in – Skerry";
  const problem = problemBox();
  const token = h("input", {
    type: "password",
    name: "token",
    autocomplete: "current-password",
    required: true,
    spellcheck: "false",
  });
  const button = h("button", { class: "primary" }, "Log in");
  const form = h(
    "form",
    {
      class: "card login",
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        problem.say(null);
        try {
          session = await call("POST", "/session", { token: token.value.trim() });
          await enter();
        } catch (error) {
          problem.say(error);
          token.select();
        }
        button.disabled = false;
      },
    },
    h("h1", {}, "Skerry"),
    h("p", { class: "lead" }, "The devices of this hub, at a glance."),
    labelled("Token", token, [
      "Made on the hub's machine: ",
      h("code", { class: "command" }, "skerry token new NAME --scope read"),
    ]),
    problem,
    button,
  );
  main.replaceChildren(form);
  if (reason) problem.say(reason);
  token.focus();
}

async function enter() {
  localStorage.setItem(KNOWN, "yes");
  const status = session.scopes.includes("read") ? await get("/status") : null;
  document.getElementById("hub").textContent = status?.hub ?? "";
  document.getElementById("who").textContent = session.name;
  for (const link of top.querySelectorAll("nav a")) {
    const wanted = link.hash === "#/enrol" ? "enrol" : "read";
    link.hidden = !session.scopes.includes(wanted);
  }
  top.hidden = false;
  if (!session.scopes.includes("read") && session.scopes.includes("enrol"))
    location.hash = "#/enrol";
  await show();
  announce(`Logged in as ${session.name}`);
}

document.getElementById("logout").addEventListener("click", async () => {
  await call("DELETE", "/session").catch(() => {});
  login();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  (main.querySelector("h1") ?? main).focus();
});
addEventListener("hashchange", () => {
  if (session) show();
});
onEnd((problem) => {
  if (session) login(problem);
});

if (localStorage.getItem(KNOWN)) {
  try {
    session = await get("/session");
    await enter();
  } catch (error) {
    login(error.status === 401 ? null : error);
  }
} else login();

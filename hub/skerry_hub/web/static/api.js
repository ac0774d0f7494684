// The REST API, as the page's session.

const BASE = "/api/v1";

export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

let ended = () => {};

/** Call this when the session is no more. */
export function onEnd(call) {
  ended = call;
}

async function send(method, path, body) {
  const said =
    body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer;
  try {
    answer = await fetch(BASE + path, { method, credentials: "same-origin", ...said });
  } catch {
    throw new Problem(
      0,
      "unreachable",
      "The hub does not answer: is it running, and this machine on its network?",
    );
  }
  if (answer.ok) return answer;
  let told = {};
  try {
    told = await answer.json();
  } catch {
    /* a proxy may answer in another way */
  }
  const problem = new Problem(
    answer.status,
    told.title ?? "",
    told.detail ?? `The hub answered ${answer.status}.`,
  );
  if (answer.status === 401 && path !== "/session") ended(problem);
  throw problem;
}

export async function call(method, path, body) {
  const answer = await send(method, path, body);
  return answer.status === 204 ? null : answer.json();
}

export const get = (path) => call("GET", path);

export async function file(method, path) {
  return (await send(method, path)).blob();
}

export const device = (id) => `/devices/${encodeURIComponent(id)}`;

export function query(values) {
  const said = Object.entries(values).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  return said.length ? `?${new URLSearchParams(said)}` : "";
}

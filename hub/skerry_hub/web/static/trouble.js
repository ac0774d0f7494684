// The line below the header: the hub does not answer, and from when that is what people see.

import { when } from "./format.js";

const line = document.getElementById("trouble");
let good = Date.now();

/** Say what failed; with null it has gone well again. */
export function trouble(error) {
  if (error?.status === 401) return; // the session has ended, and that is said elsewhere
  if (!error) good = Date.now();
  const text = error ? `${error.message} What you see is from ${when(good / 1000)}.` : "";
  if (line.textContent !== text) line.textContent = text; // or it would be read out each time
  line.hidden = !error;
}

/** Return what does a step and says whether it failed; nobody has to wait for it. */
export function tried(step) {
  return async (...given) => {
    try {
      await step(...given);
      trouble(null);
    } catch (error) {
      trouble(error);
    }
  };
}

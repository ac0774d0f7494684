// Small charts in SVG, and beside each a table with the same figures.

import { h, s } from "./dom.js";
import { count, time } from "./format.js";

const HEIGHT = 168,
  LEFT = 40,
  RIGHT = 8,
  TOP = 10,
  BOTTOM = 24;

/**
 * `series` is [{name, values, tone}], oldest value first; `at(index)` is when a step began.
 * `steps` is how many the whole axis has: what was before the hub's start stays empty.
 * `sum` tells whether steps add up: then they are stacked bars, else a line to what holds now.
 */
export function chart({ title, series, at, step, steps, sum = true }) {
  const plot = h("div", { class: "plot" });
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const length = Math.max(0, ...series.map((each) => each.values.length));
  const totals = Array.from({ length }, (_, index) =>
    series.reduce((all, each) => all + (each.values[index] ?? 0), 0),
  );
  const whole = totals.reduce((all, each) => all + each, 0);
  const figure = sum ? whole : (totals.at(-1) ?? 0);
  const draw = (width) =>
    plot.replaceChildren(
      drawing({ title, series, at, sum, totals, width, figure, readout, step, steps }),
    );
  new ResizeObserver(
    ([entry]) => entry.contentRect.width && draw(entry.contentRect.width),
  ).observe(plot);
  return h(
    "section",
    { class: "card chart" },
    h(
      "div",
      { class: "chart-head" },
      h("h3", {}, title),
      h("p", { class: "figure" }, count(figure)),
    ),
    plot,
    readout,
    series.some((each) => each.name !== title.toLowerCase()) ? legend(series) : null,
    h(
      "details",
      {},
      h("summary", { "data-key": `table ${title}` }, "As a table"),
      table({ title, series, at, length }),
    ),
  );
}

function drawing({ title, series, at, sum, totals, width, figure, readout, step, steps }) {
  const length = totals.length,
    blank = steps - length;
  const top = ceiling(Math.max(1, ...totals));
  const inner = width - LEFT - RIGHT;
  const x = (index) => LEFT + ((index + blank) * inner) / (steps - 1);
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const label = `${title}: ${count(figure)}, from ${time(at(0))} to ${time(at(length - 1))}`;
  const picture = s("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    height: String(HEIGHT),
    role: "img",
    "aria-label": label,
  });
  for (const share of [0, 0.5, 1]) {
    const value = top * share;
    if (!Number.isInteger(value)) continue;
    picture.append(
      s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
      s(
        "text",
        { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" },
        short(value),
      ),
    );
  }
  const last = length - 1;
  picture.append(
    s("text", { class: "tick", x: LEFT, y: HEIGHT - 6 }, time(at(-blank))),
    s("text", { class: "tick", x: width - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, "now"),
  );
  if (sum) drawBars(picture, series, { x, y, inner, length, steps });
  else for (const each of series) drawLine(picture, each, { x, y });
  const mark = s("line", { class: "mark", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  picture.append(mark);
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const index = Math.max(
      0,
      Math.min(
        last,
        Math.round(((event.clientX - box.left - LEFT) / inner) * (steps - 1)) - blank,
      ),
    );
    mark.setAttribute("x1", x(index));
    mark.setAttribute("x2", x(index));
    mark.setAttribute("visibility", "visible");
    const parts = series
      .filter((each) => each.values[index])
      .map((each) => `${count(each.values[index])} ${each.name}`);
    const span = `${time(at(index))} to ${time(at(index) + step)}`;
    readout.textContent = `${span}: ${parts.join(", ") || "nothing"}`;
  });
  picture.addEventListener("pointerleave", () => {
    mark.setAttribute("visibility", "hidden");
    readout.textContent = "";
  });
  return picture;
}

function drawLine(picture, { values, tone }, { x, y }) {
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`);
  if (values.length > 1) {
    const area = `M${x(0)},${y(0)}L${points.join("L")}L${x(values.length - 1)},${y(0)}Z`;
    picture.append(
      s("path", { class: `area ${tone}`, d: area }),
      s("path", { class: `line ${tone}`, d: `M${points.join("L")}` }),
    );
  }
  const end = values.length - 1;
  if (end >= 0)
    picture.append(s("circle", { class: `dot ${tone}`, cx: x(end), cy: y(values[end]), r: 3 }));
}

function drawBars(picture, series, { x, y, inner, length, steps }) {
  const width = Math.max(2, Math.min(14, inner / steps - 1));
  const heights = new Array(length).fill(0);
  for (const { values, tone } of series) {
    values.forEach((value, index) => {
      if (!value) return;
      const low = y(heights[index]);
      heights[index] += value;
      const high = y(heights[index]);
      const left = Math.min(x(index) - width / 2, LEFT + inner - width);
      picture.append(
        s("rect", {
          class: `bar ${tone}`,
          x: Math.max(LEFT, left),
          y: high,
          width,
          height: Math.max(1, low - high - 0.5),
        }),
      );
    });
  }
}

function legend(series) {
  return h(
    "ul",
    { class: "legend" },
    series.map((each) =>
      h("li", {}, h("span", { class: `swatch ${each.tone}`, "aria-hidden": "true" }), each.name),
    ),
  );
}

function table({ title, series, at, length }) {
  const rows = [];
  for (let index = length - 1; index >= 0 && rows.length < 96; index--) {
    if (series.some((each) => each.values[index])) {
      rows.push(
        h(
          "tr",
          {},
          h("th", { scope: "row" }, time(at(index))),
          series.map((each) => h("td", {}, count(each.values[index] ?? 0))),
        ),
      );
    }
  }
  if (!rows.length) return h("p", { class: "hint" }, "Nothing in this time.");
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": `${title}, figures` },
    h(
      "table",
      { class: "small" },
      h("caption", { class: "hidden" }, `${title}, newest first; steps with nothing are left out`),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "From"),
          series.map((each) => h("th", { scope: "col" }, each.name)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

/** The next round number: 1, 2 or 5 times a power of ten. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value);
}

function short(value) {
  return new Intl.NumberFormat(undefined, { notation: "compact" }).format(value);
}

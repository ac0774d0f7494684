// What makes a page hard to use for somebody: returns a list of findings, empty if all is well.
// Colours as they are computed, on the backgrounds behind them (WCAG 2.2: 1.4.3, 1.4.11, 2.5.8).

const found = [];
const name = (it) =>
  `${it.tagName.toLowerCase()}.${it.getAttribute("class") ?? ""}` +
  ` "${(it.innerText ?? it.textContent ?? "").trim().slice(0, 40)}"`;
const shown = (it) =>
  it.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) &&
  !it.closest(".hidden, .skip");

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function rgba(colour) {
  // whatever way it is written
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
const over = ([r, g, b, a], below) => [r, g, b].map((each, at) => each * a + below[at] * (1 - a));
function ground(it) {
  const layers = [];
  for (let at = it; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    if (colour[3]) layers.push(colour);
    if (colour[3] === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
}
function luminance(colour) {
  const [r, g, b] = colour.map((each) =>
    each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const checked = new Set();
while (texts.nextNode()) {
  const it = texts.currentNode.parentElement;
  if (
    !texts.currentNode.textContent.trim() ||
    checked.has(it) ||
    !shown(it) ||
    it.closest(":disabled, option")
  )
    continue;
  checked.add(it);
  const style = getComputedStyle(it);
  const below = ground(it);
  const colour = over(rgba(it instanceof SVGElement ? style.fill : style.color), below);
  const large =
    parseFloat(style.fontSize) >= 24 ||
    (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
  const ratio = contrast(colour, below);
  if (ratio < (large ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${name(it)}`);
}
if (checked.size < 5) found.push(`only ${checked.size} texts were looked at`);

for (const it of document.querySelectorAll("input, select, textarea")) {
  if (!shown(it) && it.type !== "radio") continue;
  if (!it.labels?.length && !it.ariaLabel) found.push(`no label: ${name(it)}`);
  if (it.type === "radio") continue;
  const ratio = contrast(
    over(rgba(getComputedStyle(it).borderTopColor), ground(it.parentElement)),
    ground(it.parentElement),
  );
  if (ratio < 3) found.push(`border ${ratio.toFixed(2)}: ${name(it)}`);
}
for (const it of document.querySelectorAll("button, a[href], summary, [role=button]")) {
  if (!shown(it)) continue;
  if (!(it.ariaLabel || it.innerText.trim())) found.push(`no name: ${name(it)}`);
  const box = it.getBoundingClientRect();
  const inText = it.tagName === "A" && getComputedStyle(it).display === "inline";
  if (!inText && (box.height < 24 || box.width < 24))
    found.push(`small target ${box.width}x${box.height}: ${name(it)}`);
}
for (const it of document.querySelectorAll("img"))
  if (!it.hasAttribute("alt")) found.push(`no alt: ${name(it)}`);
for (const it of document.querySelectorAll("svg"))
  if (!it.closest("[aria-hidden=true]") && !(it.role === "img" && it.ariaLabel))
    found.push(`nameless picture: ${name(it)}`);
for (const it of document.querySelectorAll("th"))
  if (!it.hasAttribute("scope")) found.push(`th without scope: ${name(it)}`);
for (const it of document.querySelectorAll("table"))
  if (!it.querySelector("th")) found.push(`no headers: ${name(it)}`);
for (const it of document.querySelectorAll("[tabindex]"))
  if (it.tabIndex > 0) found.push(`tabindex: ${name(it)}`);
for (const it of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
  for (const id of `${it.getAttribute("aria-labelledby") ?? ""} ${it.getAttribute("aria-describedby") ?? ""}`.split(
    /\s+/,
  )) {
    if (id && !document.getElementById(id)) found.push(`no element ${id}: ${name(it)}`);
  }
}
const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
if (new Set(ids).size !== ids.length) found.push("an id is there twice");
const levels = [...document.querySelectorAll("h1, h2, h3")]
  .filter(shown)
  .map((each) => Number(each.tagName[1]));
if (levels.filter((each) => each === 1).length !== 1) found.push(`headings of level 1: ${levels}`);
levels.forEach((each, at) => {
  if (at && each > levels[at - 1] + 1) found.push(`a level is left out: ${levels}`);
});
if (!document.documentElement.lang) found.push("no language");
if (document.querySelectorAll("main").length !== 1) found.push("not one main");
return found;

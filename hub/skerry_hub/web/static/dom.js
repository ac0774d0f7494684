// Elements from plain values. Text is always a text node: nothing from a device is ever markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string" && !(element instanceof SVGElement)) {
      element[name] = value;
    } else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children
      .flat(Infinity)
      .filter((each) => each !== null && each !== undefined && each !== false),
  );
  return element;
}

export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Put other children in their place, all anew. */
export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
}

/**
 * The same for what is shown again and again: nodes stay if they can, so that a click that has
 * begun is not lost. Nodes with another data-key are others; the focus goes where its key goes.
 */
export function swap(parent, ...children) {
  const active = document.activeElement;
  const key = parent.contains(active) ? active.dataset?.key : undefined;
  match(parent, children.flat(Infinity).filter(Boolean));
  if (key && document.activeElement?.dataset?.key !== key) {
    parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }
}

function match(parent, wanted) {
  const present = [...parent.childNodes];
  wanted.forEach((each, at) =>
    at < present.length ? become(present[at], each) : parent.append(each),
  );
  present.slice(wanted.length).forEach((each) => each.remove());
}

function become(old, fresh) {
  if (typeof fresh === "string") fresh = document.createTextNode(fresh);
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.dataset?.key !== fresh.dataset?.key) {
    old.replaceWith(fresh);
  } else if (old.nodeType === Node.TEXT_NODE) {
    old.data = fresh.data;
  } else {
    for (const { name } of [...old.attributes])
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    match(old, [...fresh.childNodes]);
  }
}

/** Tell what happened to those who do not see it. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

let fields = 0;

/** A label, its field, a hint; `field.problem(text)` shows what is wrong with it. */
export function labelled(text, input, hint) {
  const id = `field-${++fields}`;
  input.id = id;
  const about = hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null;
  if (about) input.setAttribute("aria-describedby", about.id);
  return h("div", { class: "field" }, h("label", { for: id }, text), input, about);
}

/** An element for errors, which screen readers read out when one appears. */
export function problemBox() {
  const box = h("p", { class: "problem", role: "alert", hidden: true });
  box.say = (error) => {
    box.hidden = !error;
    box.textContent = error ? error.message : "";
  };
  return box;
}

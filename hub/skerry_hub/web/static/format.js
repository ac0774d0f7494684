// How values are shown to people.

const numbers = new Intl.NumberFormat();
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

export const count = (value) => numbers.format(value);
export const when = (at) => dates.format(at * 1000);
export const time = (at) => clock.format(at * 1000);

export function ago(at) {
  const past = Date.now() / 1000 - at;
  if (past < 5) return "just now";
  const [unit, length] = UNITS.find(([, seconds]) => past >= seconds);
  return relative.format(-Math.floor(past / length), unit);
}

export function duration(seconds) {
  const [unit, length] = UNITS.find(([, each]) => seconds >= each) ?? UNITS.at(-1);
  const whole = Math.floor(seconds / length);
  return `${count(whole)} ${unit}${whole === 1 ? "" : "s"}`;
}

export const plural = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;

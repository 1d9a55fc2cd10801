// Draws what /api/v1/now/events sends, as the server drew the page (console/now/plot.py, shown.py).
const WIDTH = 1000;
const HEIGHT = 200;
const SPAN = 600e6;
const GAP = 7e6;
const KEPT = 300;
const SHOWN_EVERY = 15;
const GOOD = ["up", "serving", "ready"];
const BAD = ["down", "silent", "refused", "stopped"];
const numbers = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const say = (value) => (Number.isInteger(value) ? value.toLocaleString() : numbers.format(value));
let samples = [];

const made = (name, text, looks = "") => {
  const element = document.createElement(name);
  if (looks) element.className = looks;
  element.textContent = text;
  return element;
};
// Signs that are not seen are shown, and directions end with their text: as the server's pages have it.
const visible = (text) =>
  Array.from(String(text), (sign) => {
    const code = sign.codePointAt(0);
    if (code < 32) return String.fromCodePoint(0x2400 + code);
    return code === 127 ? "\u2421" : /\p{C}/u.test(sign) ? "\ufffd" : sign;
  }).join("");
const timed = (microseconds) => {
  const at = new Date(microseconds / 1000);
  if (Number.isNaN(at.getTime())) return made("span", `${microseconds} µs since 1970`);
  const time = made("time", times.format(at));
  time.dateTime = at.toISOString();
  time.title = `${at.toISOString().replace("T", " ").replace("Z", "")} UTC`;
  return time;
};
const aged = (seconds) => {
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([each]) => seconds >= each || each === 1);
  return `${say(Math.round((seconds / size) * 10) / 10)} ${unit}`;
};
const cell = (value, kind) => {
  if (value === null || value === undefined) return kind === "bytes" ? made("span", "not known", "none") : made("span", "");
  switch (kind) {
    case "number": return made("span", say(value));
    case "bytes": return made("span", `${say(Math.round(value / 1e6))} MB`);
    case "seconds": return made("span", `${say(Math.round(value * 1e4) / 10)} ms`);
    case "age": return made("span", aged(value));
    case "time": return timed(value);
    case "state": return made("span", value, `state ${GOOD.includes(value) ? "good" : BAD.includes(value) ? "bad" : "other"}`);
    default: return made("bdi", visible(value));
  }
};

// Cells that say what they said are left alone: somebody may be reading, or copying, there.
const fill = (table, rows) => {
  const columns = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, at) => {
    const line = body.rows[at] ?? body.insertRow();
    columns.forEach((column, number) => {
      const place = line.cells[number] ?? line.insertCell();
      const found = cell(row[column.dataset.name], column.dataset.kind);
      place.className = column.className;
      if (place.textContent !== found.textContent || place.firstElementChild?.className !== found.className) place.replaceChildren(found);
    });
  });
};
const fillTables = (now) => {
  for (const table of document.querySelectorAll("table[data-rows]")) {
    const rows = now[table.dataset.rows];
    fill(table, rows);
    const around = table.parentElement;
    around.hidden = !rows.length;
    const nothing = around.parentElement.querySelector(".nothing");
    if (nothing) nothing.hidden = rows.length > 0;
  }
};

const roundUp = (value) => {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => Number((step * power).toPrecision(6))).find((top) => top >= value * (1 - 1e-9));
};
const placeOf = (at, until) => WIDTH - ((until - at) / SPAN) * WIDTH;
const pathOf = (name, top) => {
  const until = samples.at(-1).at;
  let before = null;
  let path = "";
  for (const sample of samples) {
    const value = sample[name];
    if (value === null) {
      before = null;
      continue;
    }
    const joined = before !== null && sample.at - before <= GAP;
    path += `${joined ? "L" : "M"}${placeOf(sample.at, until).toFixed(1)} ${(HEIGHT - (value / top) * HEIGHT).toFixed(1)}${joined ? "" : "h.1"}`;
    before = sample.at;
  }
  return path;
};
const drawSwaps = (group, swaps) => {
  const until = samples.at(-1).at;
  const lines = swaps
    .map((swap) => ({ x: placeOf(swap.at, until), text: visible(`${swap.model}: ${swap.change}`) }))
    .filter(({ x }) => x >= 0 && x <= WIDTH)
    .map(({ x, text }) => {
      const line = document.createElementNS(group.namespaceURI, "path");
      line.setAttribute("class", "swap");
      line.setAttribute("d", `M${x.toFixed(1)} 0V${HEIGHT}`);
      line.append(document.createElementNS(group.namespaceURI, "title"));
      line.firstChild.textContent = text;
      return line;
    });
  group.replaceChildren(...lines);
};
const drawFigures = (plot) => {
  const table = plot.querySelector("table[data-figures]");
  const names = [...table.tHead.rows[0].cells].map((column) => column.dataset.name);
  const shown = samples.filter((_, at) => (samples.length - 1 - at) % SHOWN_EVERY === 0).reverse();
  const rows = shown.map((sample) => {
    const line = document.createElement("tr");
    names.forEach((name) => {
      const place = made("td", "", name ? "amount" : "");
      place.append(name ? cell(sample[name], "number") : timed(sample.at));
      line.append(place);
    });
    return line;
  });
  table.tBodies[0].replaceChildren(...rows);
};
const drawPlots = (swaps) => {
  for (const plot of document.querySelectorAll("figure.rate")) {
    const names = [...plot.querySelectorAll("[data-newest]")].map((each) => each.dataset.newest);
    const top = roundUp(Math.max(0, ...samples.flatMap((sample) => names.map((name) => sample[name] ?? 0))));
    const unit = plot.dataset.unit;
    plot.querySelector(".top").textContent = `${say(top)} ${unit}`;
    plot.querySelectorAll(".axes path.curve").forEach((curve, at) => curve.setAttribute("d", pathOf(names[at], top)));
    for (const newest of plot.querySelectorAll("[data-newest]")) {
      const value = samples.at(-1)[newest.dataset.newest];
      newest.textContent = value === null ? "not known" : `${say(value)} ${unit}`;
    }
    drawSwaps(plot.querySelector(".swaps"), swaps);
    if (plot.querySelector("details").open) drawFigures(plot);
  }
};

const moving = document.getElementById("moving");
const problems = document.getElementById("problems");
let said = "";
const tell = (text, link = "") => {
  if (said === text) return; // a screen reader would read it again
  said = text;
  moving.replaceChildren(text);
  if (!link) return;
  const sign = made("a", "Sign in");
  sign.href = link;
  moving.append(" ", sign);
};
const take = (now) => {
  if (now.history) samples = now.history;
  else samples.push(now.sample);
  while (samples.length > KEPT) samples.shift();
  drawPlots(now.swaps);
  fillTables(now);
  problems.hidden = !Object.keys(now.problems).length;
  const text = visible(Object.values(now.problems).join(" "));
  if (problems.textContent !== text) problems.textContent = text;
  tell("Moving: what is new comes by itself.");
};

let stream = null;
const close = () => {
  stream?.close();
  stream = null;
};
const open = () => {
  if (stream) return;
  stream = new EventSource("/api/v1/now/events");
  stream.onmessage = (event) => take(JSON.parse(event.data));
  stream.addEventListener("end", () => {
    close();
    tell("Not moving any more: the session is over, or the console stops.", "/sign-in?back=/now");
  });
  stream.onerror = () => {
    if (stream?.readyState === EventSource.CLOSED) tell("Not moving any more: the console sends nothing to this session.", "/sign-in?back=/now");
    else tell("Not moving: the console does not answer. It is asked again and again.");
  };
};
for (const plot of document.querySelectorAll("figure.rate")) {
  plot.querySelector("details").addEventListener("toggle", () => samples.length && drawFigures(plot));
}
// What nobody sees needs no connection: a browser has few of them.
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
open();

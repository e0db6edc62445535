"use strict";
// Elements and plots. Everything that comes from the engine is put in as text, never as HTML.

/** An element: `make("td.n", {title: "x"}, "text", child, ...)`. */
function make(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A number for people: three digits and a unit. */
function short(value) {
  if (value == null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return (value / 1e9).toPrecision(3) + " G";
  if (size >= 1e6) return (value / 1e6).toPrecision(3) + " M";
  if (size >= 1e4) return (value / 1e3).toPrecision(3) + " k";
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return size === 0 ? "0" : value.toPrecision(2);
}
function bytes(value) {
  if (value == null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) { value /= 1024; at += 1; }
  return `${at && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}
function seconds(value) {
  if (value == null) return "–";
  if (value < 1e-3) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${Number((value * 1e3).toPrecision(3))} ms`;
  if (value < 120) return `${Number(value.toPrecision(3))} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${(value / 3600).toFixed(1)} h`;
  return `${(value / 86400).toFixed(1)} d`;
}
/** An instant of the engine's, in local time: today's without the day. */
function when(text) {
  const date = new Date(text);
  if (!text || Number.isNaN(date.getTime())) return text || "";
  const time = clock(date / 1000);
  const is_today = date.toDateString() === new Date().toDateString();
  return make("time", { datetime: text, title: text }, is_today ? time : `${date.toLocaleDateString("sv")} ${time}`);
}
function clock(unix, wide) {
  const date = new Date(unix * 1000);
  const parts = { hour: "2-digit", minute: "2-digit", hour12: false };
  return date.toLocaleTimeString([], wide ? parts : { ...parts, second: "2-digit" });
}

/** The ends of an axis' steps, from zero to a round number at or above `value`; of bytes in steps of their units. */
function steps_of_axis(value, is_bytes) {
  const unit = is_bytes ? 1024 ** Math.max(1, Math.floor(Math.log2(Math.max(value, 1)) / 10)) : 1;
  const high = value > 0 ? value / unit : 1;
  const power = 10 ** Math.floor(Math.log10(high));
  // Each with so many steps that none has more digits than it.
  const [top, count] = [[1, 4], [2, 4], [2.5, 5], [5, 5], [10, 4]].find(([top]) => top * power >= high * 0.999);
  return Array.from({ length: count + 1 }, (_, step) => (unit * top * power * step) / count);
}

const HIGH = 210, LEFT = 58, BOTTOM = 20, ABOVE = 8;
/** A plot is drawn as wide as it is shown, so that its words keep their size: as many columns as the grid has. */
function width() {
  const inner = Math.min(1500, document.documentElement.clientWidth) - (innerWidth <= 640 ? 24 : 40), gap = 14;
  const columns = Math.max(1, Math.min(6, Math.floor((inner + gap) / (420 + gap))));
  return Math.max(240, Math.floor((inner - gap * (columns - 1)) / columns - 30));
}

/**
 * A plot over time. `lines` are {name, values}, one value per bin or null; `show` writes a value; `log` draws decades.
 * What it shows stands in its label for who cannot see it, and in its legend.
 */
function plot(title, { from, step, lines, show, log }) {
  const WIDE = width();
  const bins = Math.max(1, ...lines.map((line) => line.values.length));
  const all = lines.flatMap((line) => line.values).filter((value) => value != null && (!log || value > 0));
  const most = all.length ? Math.max(...all) : 0;
  const low = log ? 10 ** Math.floor(Math.log10(Math.min(...all, most || 1))) : 0;
  const steps = steps_of_axis(most, show === bytes);
  const high = log ? 10 ** Math.max(Math.ceil(Math.log10(most || 1)), Math.log10(low) + 1) : steps.at(-1);
  const x = (bin) => LEFT + ((WIDE - LEFT - 6) * (bin + 0.5)) / bins;
  const share = (value) => log ? Math.log10(value / low) / Math.log10(high / low) : value / high;
  const y = (value) => HIGH - BOTTOM - (HIGH - BOTTOM - ABOVE) * Math.min(1, Math.max(0, share(value)));
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" });
  const ticks = log ? decades(low, high) : steps;
  for (const tick of all.length ? ticks : []) {
    drawing.append(svg("line", { class: "grid-line", x1: LEFT, x2: WIDE, y1: y(tick), y2: y(tick) }));
    drawing.append(svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, show(tick)));
  }
  const every = Math.max(1, Math.round(bins / (WIDE < 450 ? 3 : 5)));
  for (let bin = Math.floor(every / 2); lines.length && bin < bins; bin += every) {
    const text = clock(from + bin * step, step >= 10);
    drawing.append(svg("text", { x: x(bin), y: HIGH - 4, "text-anchor": "middle" }, text));
  }
  if (!all.length) drawing.append(svg("text", { class: "nothing", x: WIDE / 2, y: HIGH / 2, "text-anchor": "middle" }, "nothing is known yet"));
  lines.forEach((line, index) => {
    drawing.append(svg("path", { class: `s${index % 6}`, d: trace(line.values, x, y, log) }));
  });
  const cursor = svg("line", { class: "cursor", y1: ABOVE, y2: HIGH - BOTTOM, visibility: "hidden" });
  drawing.append(cursor);
  const last = (values) => values.findLast((value) => value != null);
  const legend = lines.map((line, index) => {
    const sample = svg("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" },
      svg("line", { class: `s${index % 6}`, x1: 0, x2: 26, y1: 4, y2: 4 }));
    const value = make("b", {}, show(last(line.values)));
    return { row: make("li", {}, sample, line.name, value), value, values: line.values };
  });
  const when = make("span.dim", {}, "");
  const tell = (bin) => {
    when.textContent = bin == null ? "" : ` at ${clock(from + bin * step)}`;
    for (const one of legend) one.value.textContent = show(bin == null ? last(one.values) : one.values[bin]);
    cursor.setAttribute("visibility", bin == null ? "hidden" : "visible");
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, bin == null ? 0 : x(bin));
  };
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const inside = ((event.clientX - box.left) / box.width) * WIDE;
    const bin = Math.floor(((inside - LEFT) / (WIDE - LEFT - 6)) * bins);
    tell(bin >= 0 && bin < bins ? bin : null);
  });
  drawing.addEventListener("pointerleave", () => tell(null));
  const told = lines.map((line) => `${line.name} ${show(last(line.values))}`).join(", ");
  drawing.setAttribute("aria-label", `${title}, now: ${told}`);
  return make("section.card.plot", {}, make("h2", {}, title, when), drawing,
    make("ul.legend", {}, legend.map((one) => one.row)));
}

function decades(low, high) {
  const ticks = [];
  for (let tick = low; tick <= high * 1.001; tick *= 10) ticks.push(tick);
  return ticks;
}

/** The path of a line; where nothing is known there is none. */
function trace(values, x, y, log) {
  let path = "", is_open = false;
  values.forEach((value, bin) => {
    if (value == null || (log && value <= 0)) { is_open = false; return; }
    path += `${is_open ? "L" : "M"}${x(bin).toFixed(1)} ${y(value).toFixed(1)}`;
    // A single bin between two unknown ones is a dot.
    if (!is_open && values[bin + 1] == null) path += "h2";
    is_open = true;
  });
  return path;
}

/** A share of a whole. */
function bar(share) {
  const part = Math.max(0, Math.min(1, share || 0)) * 100;
  return svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "back", width: 100, height: 10 }), svg("rect", { width: part, height: 10 }));
}

/** A table: `columns` are {head, cell(row), kind: "n" | "name" | "words"}; one without a head has words to `say`. */
function table(caption, columns, rows, none) {
  if (!rows.length) return make("p.empty", {}, none);
  const head = columns.map((column) => make(`th${column.kind === "n" ? ".n" : ""}`, { scope: "col", role: "columnheader" }, column.head || make("span.hidden", {}, column.say)));
  // On a phone a wide table is a list of its rows, each cell with its head: roles say that it is a table all the same.
  const is_wide = columns.length > 4 || columns.some((column) => column.kind === "words");
  const body = rows.map((row) => make("tr", { role: "row" },
    columns.map((column) => make(`td${column.kind ? "." + column.kind : ""}`, { role: "cell", "data-head": column.head || false }, column.cell(row)))));
  return make("div.scroll", { tabindex: 0, role: "region", "aria-label": caption },
    make(is_wide ? "table.wide" : "table", { role: "table", "aria-label": caption },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, head)), make("tbody", { role: "rowgroup" }, body)));
}

"use strict";

// Draws the figures of a page: each says in data-plot what is to be drawn (models_page/plots/figure.py), and has the same
// numbers as a table below. Colours are the page's own variables, so that they follow its theme at once.

const SYMBOLS = ["circle", "square", "triangle", "diamond"];
const colour = (series) => `var(--series-${series % 4})`;
const toTime = (kind) => (kind === "time" ? (value) => new Date(value) : (value) => value);

function groups(mark, spec, width) {
  const rows = mark.values.flatMap((values, series) =>
    values.map((value, at) => ({ name: mark.names[at], series, value, key: `${at}` })));
  const longest = Math.max(...mark.names.map((name) => name.length));
  const several = mark.values.length > 1;
  return {
    height: 56 + mark.names.length * (several ? 15 * mark.values.length + 6 : 20),
    marginLeft: Math.min(longest * 6.6 + 16, width * 0.4),
    x: { label: spec.across?.label, grid: true, ticks: Math.max(2, width / 90) },
    y: { axis: null, padding: 0.05 },
    fy: { label: null, domain: mark.names.map((_, at) => `${at}`), padding: 0.2, tickFormat: (key) => shortened(mark.names[key], width) },
    marks: [
      Plot.barX(rows, { x: "value", y: "series", fy: "key", fill: (row) => colour(row.series) }),
      Plot.ruleX([0], { stroke: "var(--fg-muted)" }),
    ],
  };
}

function shortened(name, width) {
  const most = Math.floor((width * 0.4 - 16) / 6.6);
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}

function matrix(mark, spec, width) {
  const cells = mark.counts.flatMap((counts, actual) => {
    const all = counts.reduce((sum, count) => sum + count, 0) || 1;
    return counts.map((count, predicted) => ({ actual: `${actual}`, predicted: `${predicted}`, count, share: count / all }));
  });
  const longest = Math.max(...mark.names.map((name) => name.length));
  const domain = mark.names.map((_, at) => `${at}`);
  const named = (key) => shortened(mark.names[key], width);
  const size = Math.max(24, Math.min(64, (width - 120) / mark.names.length));
  return {
    height: 64 + size * mark.names.length,
    marginLeft: Math.min(longest * 6.6 + 30, width * 0.4),
    x: { label: spec.across.label, domain, tickFormat: named, tickRotate: longest * 7 > size ? -40 : 0 },
    y: { label: spec.up.label, domain, tickFormat: named },
    marginBottom: longest * 7 > size ? Math.min(110, longest * 5 + 34) : 40,
    marks: [
      Plot.cell(cells, { x: "predicted", y: "actual", fill: colour(0), fillOpacity: (cell) => 0.45 * cell.share }),
      Plot.text(cells, { x: "predicted", y: "actual", text: (cell) => cell.count.toLocaleString("en"), fill: "currentColor" }),
    ],
  };
}

function drawn(mark, x) {
  const at = (point) => x(point[0]);
  switch (mark.mark) {
    case "line":
      return [Plot.line(mark.points, { x: at, y: "1", stroke: colour(mark.series), strokeWidth: 1.6 })];
    case "band":
      return [Plot.areaY(mark.points, { x: at, y1: "1", y2: "2", fill: colour(mark.series), fillOpacity: 0.2 })];
    case "dots": {
      const linked = mark.points.some((point) => point[3]);
      const told = mark.points.some((point) => point[2]);
      return [Plot.dot(mark.points, {
        x: at, y: "1", r: mark.is_small ? (mark.points.length > 100 ? 2 : 3.5) : 4, symbol: SYMBOLS[mark.series % 4], fill: colour(mark.series),
        fillOpacity: mark.is_small ? 0.5 : 1,
        ...(told ? { title: (point) => point[2] } : {}),
        ...(linked ? { href: (point) => (point[3] ? document.body.dataset.root + point[3] : null) } : {}),
      })];
    }
    case "bars":
      return [Plot.rectY(mark.bars, { x1: "0", x2: "1", y: "2", fill: colour(mark.series), insetLeft: 0.5, insetRight: 0.5 })];
    case "diagonal":
      return [Plot.link([0], { x1: 0, y1: 0, x2: 1, y2: 1 })];
    case "rule":
      return mark.name
        ? [Plot.ruleY([mark.value], { stroke: "var(--warn-line)", strokeDasharray: "6 4" }),
          Plot.text([mark.name], { y: mark.value, frameAnchor: "right", dy: -8, fill: "var(--warn-line)", text: (name) => name })]
        : [Plot.ruleX([mark.value], { stroke: "var(--fg-muted)" })];
    default:
      return [];
  }
}

// As many digits as tell the marks apart; what would need many zeros is written with a power of ten.
function format(domain) {
  const greatest = Math.max(...domain.map(Math.abs));
  return greatest !== 0 && (greatest < 1e-3 || greatest >= 1e6) ? d3.format("~e") : undefined;
}

// As elsewhere on the page: 24 hours, UTC, and the day where it begins.
function timeOf(date, at, dates) {
  const isWhole = (unit) => dates.every((one) => one % unit === 0);
  const [day, time] = date.toISOString().split("T");
  if (isWhole(86_400_000)) return day;
  const shown = time.slice(0, isWhole(60_000) ? 5 : isWhole(1000) ? 8 : 12);
  return at > 0 && dates[at - 1].toISOString().startsWith(day) ? shown : `${shown}\n${day}`;
}

function axes(spec, width) {
  const x = toTime(spec.across.kind);
  const isTime = spec.across.kind === "time";
  const scale = (axis, ticks) => ({
    label: axis.label || null, grid: true, ticks, ...(axis.domain ? { domain: axis.domain, tickFormat: format(axis.domain) } : {}),
  });
  const marks = spec.marks.flatMap((mark) =>
    mark.mark === "diagonal"
      ? [Plot.line([spec.across.domain[0], spec.across.domain[1]], { x: (v) => v, y: (v) => v, stroke: "var(--fg-muted)", strokeDasharray: "4 4" })]
      : drawn(mark, x));
  return {
    height: spec.marks.some((mark) => mark.mark === "diagonal") ? Math.min(340, width * 0.8) : isTime ? 236 : 220,
    marginLeft: 58,
    ...(isTime ? { marginBottom: 50 } : {}), // two lines, and the label
    x: { ...scale(spec.across, Math.max(2, width / 110)), ...(isTime ? { type: "utc", tickFormat: timeOf } : {}) },
    y: scale(spec.up, 5),
    marks,
  };
}

function draw(figure) {
  const spec = JSON.parse(figure.dataset.plot);
  const place = figure.querySelector(".drawing");
  const width = Math.max(240, place.clientWidth);
  if (!spec.marks.length || figure.dataset.width === `${width}`) return;
  figure.dataset.width = `${width}`;
  const [first] = spec.marks;
  const options = first.mark === "groups" ? groups(first, spec, width) : first.mark === "matrix" ? matrix(first, spec, width) : axes(spec, width);
  const svg = Plot.plot({ width, className: "plot", ...options });
  svg.querySelector("style")?.remove(); // page.css has it: no style may come from anywhere else
  const links = svg.querySelectorAll("a");
  for (const group of svg.querySelectorAll("g[aria-label]")) group.removeAttribute("aria-label"); // no group has a role
  for (const link of links) link.setAttribute("aria-label", link.querySelector("title")?.textContent ?? "");
  // What is within an image cannot be reached by its reader; a group's links can.
  svg.setAttribute("role", links.length ? "group" : "img");
  svg.setAttribute("aria-label", place.dataset.summary);
  place.replaceChildren(svg);
}

const sizes = new ResizeObserver((entries) => { for (const entry of entries) draw(entry.target.closest("figure")); });
for (const place of document.querySelectorAll("figure[data-plot] .drawing")) sizes.observe(place);

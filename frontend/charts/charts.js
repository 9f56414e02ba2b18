// Draws the charts of a page with ECharts, over the pictures that came with the page. Loaded when a page has charts.
//
// The options are made on the server (app/src/ui/chart/option.rs) and stand in `data-chart`. Here they get what JSON
// cannot carry: the colours of the theme, the words of the tooltip, and what a hand does. No markup is written and no
// style attribute, so the page's content security policy holds: tooltips are drawn into the canvas ("richText").
import { connect, init, use } from "echarts/core";
import { LineChart } from "echarts/charts";
import { GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";

use([LineChart, GridComponent, TooltipComponent, MarkLineComponent, CanvasRenderer]);

/** All charts of a page share one crosshair. */
const GROUP = "page";
const NONE = "–";
/** As in style/charts.css: lines are told apart without their colours. */
const DASHES = ["solid", [7, 3], [2, 2.5], [9, 3, 2, 3], [4, 4]];
/** Fewer pixels are a click, not a range. */
const LEAST_DRAG = 8;
/** The shortest range that the server answers. */
const LEAST_MS = 5 * 60_000;
/** Labels of marks that would stand closer than this are left to the tooltip and the table. */
const LABELS_APART = 14;

/** @typedef {{option: object, unit: string, locale: string, zone: string, from: number, until: number, step: number, marks: [number, string][], happened: string}} Data */
/** @type {Map<HTMLElement, {chart: import("echarts/core").ECharts, text: string, data: Data, at: number}>} */
const drawn = new Map();

// ── Values, as app/src/ui/figures.rs writes them ───────────────────────────────────────────────────────────────────

function integer(value) {
  return value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ",");
}

function trim(value) {
  if (value >= 100 || value === 0) return integer(value);
  return value.toFixed(value >= 10 ? 1 : 2);
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; Math.abs(value) >= 1000 && unit + 1 < units.length; unit++) value /= 1000;
  return unit === 0 ? `${value.toFixed(0)} B` : `${trim(value)} ${units[unit]}`;
}

function seconds(value) {
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  return value < 1 ? `${trim(value * 1e3)} ms` : `${trim(value)} s`;
}

const UNITS = {
  percent: (value) => `${trim(value)} %`,
  share: (value) => `${trim(value * 100)} %`,
  bytes,
  stream: (value) => `${bytes(value)}/s`,
  rate: (value) => `${trim(value)}/s`,
  seconds,
  count: (value) => (Number.isInteger(value) ? integer(value) : trim(value)),
};

/** The time on the reader's clock, wherever the browser stands. */
function clock({ locale, zone, from, until }, at) {
  const day = until - from > 86_400_000 ? { month: "short", day: "numeric" } : {};
  const parts = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone };
  return new Intl.DateTimeFormat(locale, { ...day, ...parts }).format(at);
}

/** What stands at a time: its values, and what happened just then. `line` writes one series. */
function words(data, at, points, line) {
  const near = data.marks.filter(([when]) => Math.abs(when - at) <= data.step);
  const happened = near.slice(0, 3).map(([when, what]) => `${clock(data, when)} ${what}`);
  return [clock(data, at), ...points.map(line), ...happened].join("\n");
}

function value(data, number) {
  return Number.isFinite(number) ? UNITS[data.unit](number) : NONE;
}

function tooltip(data, params) {
  const list = Array.isArray(params) ? params : [params];
  if (!list.length) return "";
  return words(data, list[0].axisValue, list, (p) => {
    const name = list.length > 1 || p.seriesName !== "" ? `${p.seriesName} ` : "";
    return `${p.marker}${name}${value(data, p.value[1])}`;
  });
}

// ── Colours ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What `var(--ink)` is in the present theme; a canvas knows no custom properties. */
function colours(place) {
  const probe = document.createElement("i");
  probe.hidden = true;
  place.append(probe);
  const known = new Map();
  return {
    of(name) {
      if (!known.has(name)) {
        probe.style.color = name;
        known.set(name, getComputedStyle(probe).color);
      }
      return known.get(name);
    },
    done: () => probe.remove(),
  };
}

function resolved(part, colour) {
  if (typeof part === "string") return part.startsWith("var(") ? colour(part) : part;
  if (Array.isArray(part)) return part.map((one) => resolved(one, colour));
  if (part && typeof part === "object") {
    return Object.fromEntries(Object.entries(part).map(([name, one]) => [name, resolved(one, colour)]));
  }
  return part;
}

// ── Drawing ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The server's option with the theme's colours and with what JSON cannot carry. */
function whole(place, data) {
  const palette = colours(place);
  // The data are numbers only, and many: they are not walked through.
  const { series, ...rest } = data.option;
  const option = resolved(rest, palette.of);
  option.series = series.map(({ data: points, ...one }, n) => {
    const line = resolved(one, palette.of);
    line.lineStyle = { ...line.lineStyle, type: DASHES[n % DASHES.length] };
    if (line.markLine) line.markLine = marks(line.markLine, data, place.clientWidth, palette.of("var(--surface)"));
    return { ...line, data: points, silent: true, emphasis: { disabled: true } };
  });
  option.tooltip = {
    ...option.tooltip,
    renderMode: "richText",
    confine: true,
    transitionDuration: 0,
    textStyle: { color: palette.of("var(--ink)"), fontSize: 12, fontFamily: getComputedStyle(place).fontFamily, lineHeight: 17 },
    formatter: (params) => tooltip(data, params),
  };
  palette.done();
  return option;
}

/** Marks whose words would stand on each other keep their line only; the newest are named first. */
function marks(line, data, width, paper) {
  let last = Infinity;
  const named = [...line.data].reverse().map((mark) => {
    const x = ((mark.xAxis - data.from) / (data.until - data.from)) * width;
    const show = last - x >= LABELS_APART && x >= LABELS_APART;
    if (show) last = x;
    return { ...mark, label: { show } };
  });
  const label = { ...line.label, width: 120, overflow: "truncate", fontSize: 11, textBorderColor: paper, textBorderWidth: 3 };
  return { ...line, label, animation: false, data: named };
}

function draw(place) {
  const text = place.dataset.chart;
  const known = drawn.get(place);
  if (!text || known?.text === text) return;
  const data = JSON.parse(text);
  const chart = known?.chart ?? begin(place);
  drawn.set(place, { chart, text, data, at: -1 });
  chart.setOption(whole(place, data), { notMerge: true });
}

/** The first time: the canvas takes the place of the picture's lines; the picture's grid and labels stay. */
function begin(place) {
  const chart = init(place, null, { renderer: "canvas" });
  chart.group = GROUP;
  connect(GROUP);
  const picture = place.parentElement.querySelector(":scope > svg");
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", picture?.getAttribute("aria-label") ?? "");
  const table = picture?.getAttribute("aria-details");
  if (table) place.setAttribute("aria-details", table);
  picture?.setAttribute("aria-hidden", "true");
  place.tabIndex = 0;
  keys(place);
  drag(place);
  sizes.observe(place);
  return chart;
}

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const known = drawn.get(target);
    if (known && target.clientWidth && target.clientWidth !== known.chart.getWidth()) again(target, known);
  }
});

function again(place, known) {
  known.chart.resize();
  known.chart.setOption(whole(place, known.data), { notMerge: true });
}

// ── Hands ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Arrow keys move the crosshair from point to point and read out what stands there. */
function keys(place) {
  const status = place.parentElement.querySelector(":scope > .plot-read");
  place.addEventListener("keydown", (event) => {
    const known = drawn.get(place);
    const points = known?.data.option.series[0]?.data ?? [];
    const last = points.length - 1;
    if (event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
    const to = { ArrowLeft: known.at < 0 ? last : Math.max(0, known.at - 1), ArrowRight: Math.min(last, known.at + 1), Home: 0, End: last }[event.key];
    if (to === undefined) {
      if (event.key === "Escape") known.chart.dispatchAction({ type: "hideTip" });
      return;
    }
    event.preventDefault();
    known.at = to;
    known.chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: to });
    const at = points[to][0];
    if (status) status.textContent = words(known.data, at, known.data.option.series, (one) => `${one.name ?? ""} ${value(known.data, nearest(one.data, at, known.data.step))}`);
  });
  place.addEventListener("blur", () => drawn.get(place)?.chart.dispatchAction({ type: "hideTip" }));
}

function nearest(points, at, step) {
  const found = points.find(([when, number]) => number !== "-" && Math.abs(when - at) < step / 2);
  return found ? found[1] : NaN;
}

/** Dragging over a chart chooses a range, which stands in the address like every other. Fingers scroll. */
function drag(place) {
  let start = null;
  const band = document.createElement("i");
  band.className = "plot-band";
  band.hidden = true;
  place.append(band);
  const x = (event) => Math.max(0, Math.min(place.clientWidth, event.clientX - place.getBoundingClientRect().left));
  const stop = () => {
    start = null;
    band.hidden = true;
    removeEventListener("keydown", cancel, true);
  };
  const cancel = (event) => event.key === "Escape" && stop();
  place.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    start = x(event);
    place.setPointerCapture(event.pointerId);
    addEventListener("keydown", cancel, true);
  });
  place.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const end = x(event);
    band.hidden = Math.abs(end - start) < LEAST_DRAG;
    band.style.left = `${Math.min(start, end)}px`;
    band.style.width = `${Math.abs(end - start)}px`;
  });
  place.addEventListener("pointercancel", stop);
  place.addEventListener("pointerup", (event) => {
    const [from, to] = [Math.min(start ?? 0, x(event)), Math.max(start ?? 0, x(event))];
    const known = drawn.get(place);
    const wide = start !== null && to - from >= LEAST_DRAG;
    stop();
    if (wide && known) show(known.data, from / place.clientWidth, to / place.clientWidth);
  });
}

function show({ from, until }, begin, end) {
  const at = (share) => from + share * (until - from);
  let [first, last] = [at(begin), at(end)];
  if (last - first < LEAST_MS) {
    const middle = Math.min((first + last) / 2, until - LEAST_MS / 2);
    [first, last] = [middle - LEAST_MS / 2, middle + LEAST_MS / 2];
  }
  const text = (ms) => new Date(Math.round(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
  const address = new URL(location.href);
  address.searchParams.delete("minutes");
  address.searchParams.set("from", text(first));
  address.searchParams.set("until", text(last));
  // A link, so that the console's own router goes there without loading the page again.
  const link = document.createElement("a");
  link.href = address.href;
  document.body.append(link);
  link.click();
  link.remove();
}

// ── The page ───────────────────────────────────────────────────────────────────────────────────────────────────────

function look() {
  for (const [place, { chart }] of drawn) {
    if (place.isConnected) continue;
    sizes.unobserve(place);
    chart.dispose();
    drawn.delete(place);
  }
  document.querySelectorAll(".plot-live[data-chart]").forEach(draw);
}

let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    look();
  });
}

const repaint = () => drawn.forEach((known, place) => again(place, known));
new MutationObserver(soon).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-chart"] });
new MutationObserver(repaint).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
look();

// Scales, axes and the marks that several charts share. Charts are drawn in their own units and scale with the page;
// colours are classes, so that dark and light need no redrawing.

function scaled(low, high, from, to, log = false) {
  const of = log ? Math.log10 : (value) => value;
  const [a, b] = [of(low), of(high)];
  return (value) => (b > a ? from + ((of(value) - a) / (b - a)) * (to - from) : (from + to) / 2);
}

/** Some five round numbers in a range. */
function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, at) =>
    Number((first + at * step).toPrecision(12)),
  );
}

/** Powers of ten in a range, and their halves and fifths where it has few. */
function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    const each = high / low < 1000 ? [1, 2, 5] : [1];
    found.push(...each.map((one) => one * 10 ** power));
  }
  return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
}

/** A range with some air around it; a single value gets a range too. */
function airy(values, share = 0.06) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const air = high > low ? share * (high - low) : Math.abs(low) * 0.05 || 0.5;
  return [low - air, high + air];
}

/** A number of an axis: short, in at most so many digits as tell it from its neighbours. */
function brief(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${Number((value / 1e9).toPrecision(3))} G`;
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))} k`;
  return String(Number(value.toPrecision(4)));
}

const ruler = document.createElement("canvas").getContext("2d");

/** How wide a text is in a chart, in its units. */
function textWidth(text, size = 12) {
  ruler.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

/** The width of a chart: what it likes, or what a narrow window has; text would be too small if it only shrank. */
function room(most) {
  return Math.max(300, Math.min(most, document.documentElement.clientWidth - 36));
}

function label(x, y, text, attributes = {}) {
  return s("text", { x, y, ...attributes }, text);
}

/** A drawing of a width and a height, with what it shows in words. */
function drawing(width, height, said, ...content) {
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": said }, content);
}

/** An axis below, with a line up at each tick. */
function below(x, values, top, bottom, form = brief) {
  return values.map((value) =>
    s(
      "g",
      {},
      s("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: bottom }),
      label(x(value), bottom + 15, form(value), { class: "tick", "text-anchor": "middle" }),
    ),
  );
}

/** An axis on the left, with a line across at each tick. */
function beside(y, values, left, right, form = brief) {
  return values.map((value) =>
    s(
      "g",
      {},
      s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      label(left - 6, y(value) + 4, form(value), { class: "tick", "text-anchor": "end" }),
    ),
  );
}

/** A chart with its heading, its tools and, folded, its numbers as a table. */
function figure(heading, said, ...content) {
  const id = fresh("figure");
  return h(
    "figure",
    { class: "figure", "aria-labelledby": id },
    h("figcaption", {}, h("h3", { id }, heading), said ? h("p", {}, said) : null),
    content,
  );
}

/** Seeds as dots and intervals as bars, of some rows of a column, on the scale of the whole column; one is our own. */
function seedStrip(board, column, rows, width, own = null) {
  const where = board.columns[column];
  const cells = board.rows.filter((row) => !row.source).map((row) => row.cells[column]);
  const all = cells.flatMap((cell) => [cell.low, cell.high, cell.mean, ...(cell.means || [])]);
  const known = all.filter((value) => value !== undefined).map((value) => where.factor * value);
  const [low, high] = airy(known, 0.03);
  const named = rows.length > 1;
  const left = named ? nameWidth(rows.map((row) => board.rows[row])) : 8;
  const x = scaled(low, high, left, width - 8);
  const bottom = rows.length * 22 + 2;
  const said = rows
    .map((row) => `${board.rows[row].method}: ${spread(board.rows[row].cells[column], where)}`)
    .join("; ");
  return drawing(
    width,
    bottom + 20,
    said,
    below(x, ticks(low, high, width / 90), 2, bottom),
    rows.map((row, at) => {
      const line = stripLine(board.rows[row], column, x, 12 + at * 22, where.factor, named && left);
      line.classList.toggle("own", row === own);
      return line;
    }),
  );
}

/** The numbers of a line, in words. */
function spread(cell, where) {
  const seeds = (cell.means || []).map((mean) => shown(mean, where)).join(", ");
  const ends = cell.low === undefined ? "" : `, interval ${shown(cell.low, where)} to ${shown(cell.high, where)}`;
  return `mean ${shown(cell.mean, where)}, seeds ${seeds}${ends}`;
}

function stripLine(row, column, x, y, factor, left) {
  const cell = row.cells[column];
  const at = (value) => x(factor * value);
  const ends = cell.low === undefined ? null : { x1: at(cell.low), x2: at(cell.high), y1: y, y2: y };
  return s(
    "g",
    {},
    left ? label(left - 12, y + 4, short(row.method), { class: "name", "text-anchor": "end" }) : null,
    ends ? s("line", { class: "whisker", ...ends }) : null,
    s("line", { class: "middle", x1: at(cell.mean), x2: at(cell.mean), y1: y - 7, y2: y + 7 }),
    (cell.means || []).map((mean) => s("circle", { class: "seed", cx: at(mean), cy: y, r: 3.5 })),
  );
}

// The test cases of a cell: how their values are spread, which are best and worst, and how a rival does on the same.

const SHOWN = 8; // cases of a list
const BINS = 24;

/** Parts of the dialog; without values of its own, why there are none. */
function cases(board, row, column) {
  const [cell, where] = [board.rows[row].cells[column], board.columns[column]];
  if (cell.mean === undefined) return [];
  const each = perSeed(board, row, column);
  if (!each)
    return [
      part(
        "Test cases",
        `${where.label} of this column is no plain mean over test cases, so there is no value for each.`,
      ),
    ];
  const means = meanOf(each);
  const ids = data.lists[cell.list];
  return [
    part(
      "Test cases",
      `Each is the mean over ${each.length} seed${each.length > 1 ? "s" : ""}. ${precision(where)}`,
      h(
        "div",
        { class: "wide" },
        histogram(
          means.map((value) => value * where.factor),
          room(560),
          170,
          withUnit(where.label, where.unit ? `(${where.unit})` : ""),
          [[cell.mean * where.factor, "mean"]],
        ),
      ),
      extremes(ids, means, each, cell, where),
    ),
    rivals(board, row, column, each),
  ];
}

/** How exact the values in the file are. */
function precision({ levels, step, factor, unit }) {
  if (levels) return "The values are exact.";
  const size = withUnit((step * factor).toPrecision(2), unit);
  return `In this file they are stored in steps of ${size}, and so off by half of that at most.`;
}

/** Bars of how many values lie where, and lines at some of note. */
function histogram(values, width, height, axis, lines = []) {
  const distinct = [...new Set(values)];
  const [low, high] = distinct.length > 1 ? [Math.min(...values), Math.max(...values)] : airy(values);
  const counts = Array(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(((value - low) / (high - low)) * BINS))] += 1;
  const [left, right, top, bottom] = [44, width - 10, 12, height - 36];
  const x = scaled(low, high, left, right);
  const y = scaled(0, Math.max(...counts), bottom, top + 12); // under the names of lines
  const bar = (count, at) =>
    count &&
    s(
      "rect",
      {
        class: "bar",
        x: left + (at * (right - left)) / BINS + 0.5,
        width: (right - left) / BINS - 1,
        y: y(count),
        height: bottom - y(count),
      },
      s(
        "title",
        {},
        `${brief(low + (at * (high - low)) / BINS)} to ${brief(low + ((at + 1) * (high - low)) / BINS)}: ${count}`,
      ),
    );
  const range = `from ${brief(low)} to ${brief(high)}`;
  const said = `Histogram of ${values.length} cases ${range}; ${counts.join(", ")} in ${BINS} equal parts.`;
  return drawing(
    width,
    height,
    said,
    beside(y, ticks(0, Math.max(...counts), 3).filter(Number.isInteger), left, right),
    ticks(low, high, 6).map((value) =>
      label(x(value), bottom + 15, brief(value), { class: "tick", "text-anchor": "middle" }),
    ),
    counts.map(bar).filter(Boolean),
    lines.map(([value, text]) =>
      s(
        "g",
        {},
        s("line", { class: "note", x1: x(value), x2: x(value), y1: top - 4, y2: bottom }),
        label(x(value) + 4, top + 4, text, { class: "tick" }),
      ),
    ),
    label((left + right) / 2, height - 3, axis, { class: "axis", "text-anchor": "middle" }),
  );
}

/** The worst and the best cases, or those whose id is asked for. */
function extremes(ids, means, each, cell, where) {
  const order = means.map((_, at) => at).sort((a, b) => (where.higher ? 1 : -1) * (means[a] - means[b]) || a - b);
  const row = (at) => [name(ids[at]), shown(means[at], where), each.map((of) => shown(of[at], where)).join("  ")];
  const table = (caption, chosen) =>
    h(
      "div",
      { class: "wide" },
      h("h4", {}, caption),
      listing(caption, ["Case", "Mean", `Seeds ${cell.done.join(", ")}`], chosen.map(row), "numbers"),
    );
  const first = () => [
    table("Worst", order.slice(0, SHOWN)),
    order.length > SHOWN ? table("Best", order.slice(-SHOWN).reverse()) : null,
  ];
  const place = h("div", { class: "pair" }, first());
  const find = h("input", {
    type: "search",
    placeholder: "Find a case by its id",
    "aria-label": "Find a case by its id",
    input: () => {
      const wanted = find.value.trim().toLowerCase();
      const found = order.filter((at) => ids[at].toLowerCase().includes(wanted));
      const more = found.length > 50 ? `, the worst 50 of ${found.length}` : "";
      place.replaceChildren(...(wanted ? [table(`Found${more}`, found.slice(0, 50))] : first()).filter(Boolean));
    },
  });
  return [find, place];
}

// ------------------------------------------------------------------------------------------- a rival

/** Paired differences to another method on the same cases: against the best at first, of the best to the second. */
function rivals(board, row, column, each) {
  const own = board.rows[row].cells[column];
  const where = board.columns[column];
  const others = board.rows
    .map((_, at) => at)
    .filter((at) => {
      const cell = board.rows[at].cells[column];
      return at !== row && cell.values && cell.list === own.list && cell.done.some((seed) => own.done.includes(seed));
    });
  if (!others.length) return part("Against another method", "No other method has results on the same cases and seeds.");
  const sign = where.higher ? 1 : -1;
  const best = others.reduce((a, b) =>
    sign * (board.rows[b].cells[column].mean - board.rows[a].cells[column].mean) > 0 ? b : a,
  );
  const place = h("div", {});
  const draw = (other) => place.replaceChildren(...rival(board, row, Number(other), column, each));
  draw(best);
  return part(
    "Against another method",
    "",
    chooser(
      "Compare with",
      others.map((at) => [String(at), board.rows[at].method]),
      String(best),
      draw,
    ),
    place,
  );
}

function rival(board, row, other, column, each) {
  const where = board.columns[column];
  const pair = paired(board, row, other, column, each);
  const axis = `paired difference of a case${points(where) && `, ${points(where)}`}`;
  const scaledUp = pair.differences.map((difference) => difference * where.factor);
  return [
    balance(board.rows[row].method, pair.differences, where),
    h("div", { class: "wide" }, histogram(scaledUp, room(560), 150, axis, [[0, "equal"]])),
    tested(board, row, other, column),
    furthest(board, row, other, column, pair),
    command(`bench compare ${quoted(board.rows[row].method)} ${quoted(board.rows[other].method)}`),
  ].filter(Boolean);
}

/** Two methods by case, over the seeds that both have; differences are positive where the first is better. */
function paired(board, row, other, column, each) {
  const [own, their, where] = [board.rows[row].cells[column], board.rows[other].cells[column], board.columns[column]];
  const seeds = own.done.filter((seed) => their.done.includes(seed));
  const means = (cell, of) => meanOf(seeds.map((seed) => of[cell.done.indexOf(seed)]));
  const [first, second] = [means(own, each), means(their, perSeed(board, other, column))];
  const sign = where.higher ? 1 : -1;
  // What is less than a step apart may be equal in the record.
  const least = Math.max(where.step || 0, 1e-12);
  const differences = first.map((value, at) => sign * (value - second[at])).map((d) => (Math.abs(d) <= least ? 0 : d));
  return { first, second, differences, ids: data.lists[own.list] };
}

/** In how many cases a method is better and worse, and by how much in the mean. */
function balance(method, differences, where) {
  const count = (test) => h("strong", {}, String(differences.filter(test).length));
  const mean = differences.reduce((sum, d) => sum + d, 0) / differences.length;
  const amount = withUnit(`${mean > 0 ? "+" : ""}${shown(mean, where)}`, points(where));
  const said = [`On the same ${differences.length} cases `, name(method), " is better in ", count((d) => d > 0)];
  said.push(
    ", worse in ",
    count((d) => d < 0),
    " and equal in ",
    count((d) => d === 0),
  );
  return h("p", {}, said, `; mean difference ${amount} (positive: better).`);
}

/** The cases in which the two differ most, either way: what a mean difference is made of. */
function furthest(board, row, other, column, { first, second, differences, ids }) {
  const where = board.columns[column];
  const order = differences.map((_, at) => at).filter((at) => differences[at] !== 0);
  order.sort((a, b) => Math.abs(differences[b]) - Math.abs(differences[a]) || a - b);
  if (!order.length) return null;
  const sign = (d) => `${d > 0 ? "+" : ""}${shown(d, where)}`;
  const line = (at) => [name(ids[at]), shown(first[at], where), shown(second[at], where), sign(differences[at])];
  const heads = ["Case", board.rows[row].method, board.rows[other].method, "Difference"];
  const rows = order.slice(0, SHOWN).map(line);
  return folded("The cases that differ most", h("div", { class: "wide" }, listing("Furthest", heads, rows, "numbers")));
}

/** The board tests each cell against the best of its column; of other pairs the command tells. */
function tested(board, row, other, column) {
  const [own, their] = [board.rows[row].cells[column], board.rows[other].cells[column]];
  const p = their.best ? own.p : own.best ? their.p : undefined;
  if (p === undefined)
    return h(
      "p",
      { class: "hint" },
      "The board tests against the best of the column; of this pair the command tells more:",
    );
  const verdict = p < 1 - board.level ? "a difference beyond chance" : "no difference is shown";
  return h("p", {}, `${probability(p)}: ${verdict} (${board.tests.join(", ")}).`);
}

// Accuracy against cost: what a method gives for its hours or its size, and which are on the Pareto front.

// What each is called, whether less of it is cheaper, and on which devices it was taken.
const COSTS = {
  hours: ["Hours, pretraining and evaluation", true, ["pretrained_on", "evaluated_on"]],
  pretraining_hours: ["Hours of pretraining", true, ["pretrained_on"]],
  evaluation_hours: ["Hours of evaluation, all tasks", true, ["evaluated_on"]],
  parameters: ["Parameters of the encoder", true, []],
  images_per_second: ["Images a second in pretraining", false, ["pretrained_on"]],
};

function costChart(board) {
  const known = Object.keys(COSTS).filter((key) =>
    Object.values(board.costs).some((of) => typeof of[key] === "number"),
  );
  const scores = scoresOf(board);
  const place = board.section.querySelector(".charts");
  if (!known.length || !scores.length) return;
  const stage = h("div", { class: "stage" });
  const tools = h(
    "div",
    { class: "chart-tools" },
    chooser(
      "Score",
      scores.map(({ key, text }) => [key, text]),
      board.view.y || scores[0].key,
      (key) => {
        board.view.y = key;
        draw();
        remember(board);
      },
    ),
    chooser(
      "Cost",
      known.map((key) => [key, COSTS[key][0]]),
      board.view.x || known[0],
      (key) => {
        board.view.x = key;
        draw();
        remember(board);
      },
    ),
  );
  const draw = () => {
    const score = scores.find(({ key }) => key === board.view.y) || scores[0];
    const cost = known.includes(board.view.x) ? board.view.x : known[0];
    stage.replaceChildren(...scatter(board, score, cost));
  };
  place.append(figure("Accuracy against cost", "", tools, stage));
  board.drawn.push(draw);
  draw();
}

/** What can stand on the axis of scores: the mean over tasks, the mean rank, each column. */
function scoresOf(board) {
  const first = board.columns[0];
  const found = [];
  if (board.averaged) {
    found.push({
      key: "mean",
      text: `Mean over tasks, ${withUnit(first.label, first.unit)}`,
      higher: first.higher,
      of: (row) => (board.rows[row].mean === null ? null : first.factor * board.rows[row].mean),
    });
  }
  if (board.ranking) {
    found.push({
      key: "rank",
      text: "Mean rank over tasks",
      higher: false,
      of: (row) => board.ranks.get(board.rows[row].method)?.mean_rank ?? null,
    });
  }
  board.columns.forEach((column, index) =>
    found.push({
      key: column.name,
      text: `${columnName(column)}, ${withUnit(column.label, column.unit)}`,
      higher: column.higher,
      of: (row) => (cellSeen(board, row, index) ? column.factor * board.rows[row].cells[index].mean : null),
    }),
  );
  return found;
}

/** Those that no other is as good as in both and better in one; from the cheapest on, equals together. */
function front(dots, cheaper, higher) {
  const sorted = [...dots].sort((a, b) => cheaper * (a.cost - b.cost) || higher * (b.score - a.score));
  const kept = [];
  for (const dot of sorted) {
    const last = kept.at(-1);
    const better = !last || higher * (dot.score - last.score) > 0;
    if (better || (dot.score === last.score && dot.cost === last.cost)) kept.push(dot);
  }
  return kept;
}

function scatter(board, score, cost) {
  const rows = board.rows.map((_, row) => row).filter((row) => !board.rows[row].source && rowSeen(board, row));
  const of = (row) => ({
    row,
    method: board.rows[row].method,
    group: board.rows[row].group,
    cost: board.costs[board.rows[row].method]?.[cost] ?? null,
    score: score.of(row),
    devices: devicesOf(board.costs[board.rows[row].method], cost),
  });
  const dots = rows.map(of).filter((dot) => dot.cost !== null && dot.score !== null);
  const gone = rows
    .map(of)
    .filter((dot) => dot.cost === null || dot.score === null)
    .map((dot) => dot.method);
  const [text, less] = COSTS[cost];
  const devices = [...new Set(dots.flatMap((dot) => dot.devices))];
  const hint = [
    frontHint(devices),
    gone.length ? `Not shown, since no record tells or a cell is missing: ${gone.join(", ")}.` : "",
  ];
  if (!dots.length) return [h("p", { class: "hint" }, hint[1])];
  const best = devices.length > 1 ? [] : front(dots, less ? 1 : -1, score.higher ? 1 : -1);
  const table = folded("The same as a table", costTable(dots, best, score, text));
  table.open = document.documentElement.clientWidth >= 1100;
  return [
    h(
      "div",
      {},
      h("div", { class: "wide" }, cloud(dots, best, score, text)),
      h("p", { class: "hint" }, hint.join(" ")),
    ),
    table,
  ];
}

/** The devices that a cost was taken on; of a size, none. */
function devicesOf(costs, key) {
  const lists = COSTS[key][2];
  const named = [...new Set(lists.flatMap((list) => costs?.[list] || []))];
  return named.length || !lists.length ? named : ["an unnamed device"];
}

/** What the line says; times on different devices cannot be compared, and have none. */
function frontHint(devices) {
  if (devices.length > 1) return `No front, for times on different devices cannot be compared: ${devices.join("; ")}.`;
  const on = devices.length ? ` Times are of one seed on ${devices[0]}.` : "";
  return `The line is the Pareto front: no other method is both cheaper and better.${on}`;
}

function cloud(dots, best, score, text) {
  const [width, height, left, top] = [room(660), 400, 56, 14];
  const [right, bottom] = [width - 16, height - 44];
  const { x, wide, costs } = costAxis(dots, left, right);
  const [low, high] = airy(
    dots.map((dot) => dot.score),
    0.08,
  );
  const y = score.higher ? scaled(low, high, bottom, top) : scaled(low, high, top, bottom);
  const path = best.map((dot, at) => `${at ? "L" : "M"}${x(dot.cost).toFixed(1)} ${y(dot.score).toFixed(1)}`).join("");
  const groups = [...new Set(dots.map((dot) => dot.group))];
  const marks = dots.map((dot) =>
    mark(dot, x(dot.cost), y(dot.score), best.includes(dot), groups.indexOf(dot.group), score, text),
  );
  const upright = `translate(13 ${(top + bottom) / 2}) rotate(-90)`;
  const svg = drawing(
    width,
    height,
    "",
    below(x, costs, top, bottom),
    beside(y, ticks(low, high, 6), left, right),
    s("path", { class: "front", d: path }),
    titles(dots, best, x, y, right),
    marks,
    label((left + right) / 2, height - 6, text + (wide ? " (logarithmic)" : ""), CENTRED),
    s("text", { ...CENTRED, transform: upright }, score.text),
  );
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", `${score.text} against ${text.toLowerCase()}, ${dots.length} methods`);
  return svg;
}

const CENTRED = { class: "axis", "text-anchor": "middle" };

/** Costs that are many times each other are on a logarithmic axis. */
function costAxis(dots, left, right) {
  const all = dots.map((dot) => dot.cost);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const wide = least > 0 && most / least > 8;
  const [low, high] = wide ? [least / 1.25, most * 1.25] : airy(all, 0.08);
  return { x: scaled(low, high, left, right, wide), wide, costs: wide ? logTicks(low, high) : ticks(low, high, 6) };
}

/** Names, those on the front first, where there is a place for them. */
function titles(dots, best, x, y, right) {
  const taken = dots.map((dot) => {
    const [across, down] = [x(dot.cost), y(dot.score)];
    return { left: across - 6, right: across + 6, top: down - 6, bottom: down + 6 };
  });
  const order = [...best, ...dots.filter((dot) => !best.includes(dot))];
  return order.map((dot) => titled(dot.method, x(dot.cost), y(dot.score), taken, right));
}

/** A dot that one can point at and tab to. Groups differ in shape as well as in colour. */
function mark(dot, x, y, best, group, score, text) {
  const numbers = `${brief(dot.score)} ${score.text}; ${brief(dot.cost)} ${text}`;
  const said = `${dot.method}: ${numbers}${best ? "; on the Pareto front" : ""}`;
  const node = s(
    "g",
    {
      class: `dot kind-${group % 6}${best ? " best" : ""}`,
      tabindex: 0,
      role: "img",
      "aria-label": said,
      transform: `translate(${x} ${y})`,
    },
    s("path", { d: SHAPES[group % SHAPES.length] }),
  );
  tipped(node, () =>
    [
      h("strong", {}, name(dot.method)),
      h(
        "dl",
        {},
        h("dt", {}, score.text),
        h("dd", {}, brief(dot.score)),
        h("dt", {}, text),
        h("dd", {}, brief(dot.cost)),
      ),
      dot.devices.length ? h("p", {}, `On ${dot.devices.join(" and ")}.`) : null,
      best ? h("p", {}, "On the Pareto front.") : null,
    ].filter(Boolean),
  );
  return node;
}

const SHAPES = [
  "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z",
  "M-4.6 -4.6H4.6V4.6H-4.6Z",
  "M0 -6L6 5H-6Z",
  "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
  "M0 6L6 -5H-6Z",
  "M-6 -2H-2V-6H2V-2H6V2H2V6H-2V2H-6Z",
];

/** A name beside its dot where it covers nothing; without such a place none, for the tooltip and the table have it. */
function titled(text, x, y, taken, edge) {
  const said = text.length > 26 ? `${text.slice(0, 25)}…` : text;
  const width = textWidth(said);
  const places = [
    [9, 4],
    [-9 - width, 4],
    [-width / 2, -11],
    [-width / 2, 19],
    [9, -8],
    [9, 16],
    [-9 - width, -8],
    [-9 - width, 16],
  ];
  for (const [dx, dy] of places) {
    const box = { left: x + dx, right: x + dx + width, top: y + dy - 10, bottom: y + dy + 3 };
    const free =
      box.left > 58 &&
      box.right < edge + 12 &&
      taken.every((of) => box.right < of.left || box.left > of.right || box.bottom < of.top || box.top > of.bottom);
    if (!free) continue;
    taken.push(box);
    return label(box.left, y + dy, said, { class: "name", "aria-hidden": "true" });
  }
  return null;
}

function costTable(dots, best, score, text) {
  const sorted = [...dots].sort((a, b) => (score.higher ? b.score - a.score : a.score - b.score));
  return h(
    "div",
    { class: "wide" },
    listing(
      "Accuracy against cost",
      ["Method", score.text, text, "Pareto front"],
      sorted.map((dot) => [name(dot.method), fixed(dot.score, 2), brief(dot.cost), best.includes(dot) ? "yes" : ""]),
      "numbers",
    ),
  );
}

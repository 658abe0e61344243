// Rank intervals, and the critical-difference diagram (Demšar, JMLR 7, 2006, figure 1).

function rankCharts(board) {
  const { ranking } = board;
  const place = board.section.querySelector(".chart-place");
  if (!ranking || !place) return;
  const [intervals, diagram] = [h("div", { class: "wide" }), h("div", { class: "wide" })];
  place.append(
    h(
      "div",
      { class: "pair" },
      figure("Rank intervals", rankHint(ranking), intervals),
      figure("Critical difference", criticalHint(ranking.test), diagram),
    ),
  );
  const draw = () => {
    intervals.replaceChildren(rankIntervals(ranking));
    diagram.replaceChildren(critical(ranking));
  };
  board.resized.push(draw);
  draw();
}

function rankHint({ rows }) {
  const over =
    rows[0].rank_ends[0] === null
      ? "There is one task, so mean ranks have no interval"
      : "Thick: 95 % interval of the mean rank over other tasks";
  return `${over}; thin: 95 % of its places when test cases are drawn anew.`;
}

function rankIntervals({ rows }) {
  const left = nameWidth(rows);
  const [width, step] = [room(left + 420), 24];
  const bottom = rows.length * step + 8;
  const x = scaled(1, Math.max(2, rows.length), left, width - 14);
  const lines = rows.map((row, at) => {
    const y = 18 + at * step;
    const [low, high] = row.rank_ends;
    const [first, last] = row.places_by_cases;
    const ends = low === null ? "" : `, interval ${low.toFixed(2)} to ${high.toFixed(2)}`;
    const said = `${row.method}: mean rank ${row.mean_rank.toFixed(2)}${ends}`;
    return s(
      "g",
      { role: "img", "aria-label": said },
      s("title", {}, said),
      label(left - 12, y + 4, short(row.method), { "text-anchor": "end", class: "name" }),
      first === null ? null : s("line", { class: "whisker thin", x1: x(first), x2: x(last), y1: y, y2: y }),
      low === null ? null : s("line", { class: "whisker", x1: x(low), x2: x(high), y1: y, y2: y }),
      s("circle", { class: "seed", cx: x(row.mean_rank), cy: y, r: 4.5 }),
    );
  });
  const values = ticks(1, Math.max(2, rows.length), Math.min(rows.length, 10)).filter(Number.isInteger);
  const svg = drawing(
    width,
    bottom + 36,
    "",
    below(x, values, 4, bottom),
    lines,
    label((left + width) / 2, bottom + 32, "rank, 1 is best", { class: "axis", "text-anchor": "middle" }),
  );
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", "Mean ranks with intervals, best first");
  return svg;
}

function short(text, most = 26) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function nameWidth(rows) {
  return 24 + Math.max(...rows.map((row) => textWidth(short(row.method))));
}

function criticalHint({ p, columns, difference, groups }) {
  if (p === null)
    return columns === 1 ? "There is one task, so no test over tasks tells methods apart." : "No test over tasks.";
  const many = groups.some((group) => group.length > 1);
  const said = difference === null ? "" : ` Nemenyi's critical difference of mean ranks is ${difference.toFixed(2)}.`;
  const bars = many ? " Methods under one bar are not told apart." : "";
  return `Friedman's test over ${columns} tasks: ${probability(p)}.${said}${bars}`;
}

/** Names below a line of ranks, the better half on the left, each joined to its mean rank; bars over groups. */
function critical({ rows, test }) {
  const bars = test.groups.filter((group) => group.length > 1);
  const [step, half] = [19, Math.ceil(rows.length / 2)];
  const side = nameWidth(rows) + 30;
  const width = Math.max(2 * side + 100, room(2 * side + 280));
  const x = scaled(1, Math.max(2, rows.length), side, width - side);
  const line = test.difference === null ? 26 : 54;
  const top = line + 14 + bars.length * 9;
  return drawing(
    width,
    top + half * step + 16,
    criticalSaid(rows, bars),
    criticalLine(rows, x, line, width - 2 * side),
    test.difference === null ? null : criticalScale(x, test.difference, width),
    bars.map((group, at) => criticalBar(group, rows, x, line + 9 + at * 9)),
    rows.map((row, at) => criticalName(row, at, rows.length, half, x, line, top, step, side, width)),
  );
}

function criticalSaid(rows, bars) {
  const ranks = rows.map((row) => `${row.method} ${row.mean_rank.toFixed(2)}`).join(", ");
  const groups = bars.map((group) => `Not told apart: ${group.map((at) => rows[at].method).join(", ")}.`);
  return [`Critical-difference diagram: ${ranks}.`, ...groups].join(" ");
}

function criticalLine(rows, x, y, width) {
  const every = Math.ceil((22 * rows.length) / width); // a number is some 20 wide
  const ranks = rows.map((_, at) => at + 1).filter((rank) => (rank - 1) % every === 0);
  return [
    s("line", { class: "rule", x1: x(1), x2: x(Math.max(2, rows.length)), y1: y, y2: y }),
    ranks.map((rank) => [
      s("line", { class: "rule", x1: x(rank), x2: x(rank), y1: y - 5, y2: y }),
      label(x(rank), y - 9, String(rank), { class: "tick", "text-anchor": "middle" }),
    ]),
  ];
}

function criticalBar(group, rows, x, y) {
  const places = group.map((row) => x(rows[row].mean_rank));
  return s("line", { class: "bar-group", x1: Math.min(...places) - 4, x2: Math.max(...places) + 4, y1: y, y2: y });
}

function criticalScale(x, difference, width) {
  const end = Math.min(x(1 + difference), width - 8);
  return s(
    "g",
    {},
    s("path", { class: "rule", d: `M${x(1)} 12V20M${x(1)} 16H${end}M${end} 12V20` }),
    label(end + 6, 20, `critical difference ${difference.toFixed(2)}`, { class: "tick" }),
  );
}

function criticalName(row, at, count, half, x, line, top, step, side, width) {
  const left = at < half;
  const y = top + (left ? at : count - 1 - at) * step + 8;
  const edge = left ? side - 14 : width - side + 14;
  const text = left
    ? `${short(row.method)}  ${row.mean_rank.toFixed(2)}`
    : `${row.mean_rank.toFixed(2)}  ${short(row.method)}`;
  return [
    s("path", { class: "joint", d: `M${x(row.mean_rank)} ${line}V${y}H${edge}` }),
    label(edge + (left ? -4 : 4), y + 4, text, { "text-anchor": left ? "end" : "start", class: "name" }),
  ];
}

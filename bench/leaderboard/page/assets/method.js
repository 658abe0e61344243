// What stands behind a row, in a dialog: the method in every column, what it costs, its settings and its pretraining.

function openMethod(board, row, button) {
  const of = board.rows[row];
  const records = of.cells.flatMap((cell) => (cell.records || []).map((key) => data.records[key])).filter(Boolean);
  const sources = [...new Set(records.map((record) => record.pretraining))]
    .map((key) => data.records[key])
    .filter(Boolean);
  openDialog(
    board,
    [name(of.method)],
    [
      standing(board, row),
      part("In every column", "", h("div", { class: "wide" }, everyCell(board, row))),
      records.length
        ? part(
            "How it was made",
            "",
            variants(records, "encoder", "Method and recipe"),
            variants(records, "environment", "Environment"),
          )
        : null,
      sources.length ? pretrainings(sources) : null,
    ],
    button,
  );
  remembered(board, of.method, "");
}

/** Its mean, its rank and its costs. */
function standing(board, row) {
  const of = board.rows[row];
  const first = board.columns[0];
  const facts = [
    ["Group", of.group || "–", ""],
    ["Cells done", `${of.coverage[0]} of ${of.coverage[1]}`, ""],
  ];
  const rank = board.ranks.get(of.method);
  if (rank) {
    const [low, high] = rank.rank_ends;
    facts.push([
      "Mean rank",
      rank.mean_rank.toFixed(2),
      low === null ? "" : `95 % interval over other tasks: ${low.toFixed(2)} to ${high.toFixed(2)}`,
    ]);
    facts.push(["Won", `${(100 * rank.wins).toFixed(0)} %`, "of duels with another method on a task"]);
  }
  const costs = board.costs[of.method] || {};
  for (const [key, [text]] of Object.entries(COSTS)) {
    if (typeof costs[key] === "number") facts.push([text, brief(costs[key]), devicesOf(costs, key).join(" and ")]);
  }
  return h(
    "div",
    { class: "summary" },
    of.mean === null
      ? null
      : h(
          "p",
          { class: "value" },
          h("strong", {}, shown(of.mean, first)),
          h("small", {}, `mean of ${first.label}${first.unit && `, ${first.unit}`}`),
        ),
    terms(facts),
    of.collapsed.length
      ? h("p", { class: "marked" }, `Its pretraining collapsed: seeds ${of.collapsed.join(", ")}.`)
      : null,
  );
}

/** Facts as terms with their value, and what more is to be said of it. */
function terms(facts) {
  return h(
    "dl",
    {},
    facts.map(([term, value, more]) =>
      h("div", {}, h("dt", {}, term), h("dd", {}, value, more ? h("small", {}, more) : null)),
    ),
  );
}

function everyCell(board, row) {
  const rows = board.rows[row].cells.map((cell, column) => {
    const where = board.columns[column];
    const value =
      cell.mean === undefined
        ? cell.state
        : `${shown(cell.mean, where)}${cell.std === undefined ? "" : `\u00a0±\u00a0${shown(cell.std, where)}`}`;
    return [
      name(columnName(where)),
      withUnit(where.label, where.unit),
      value,
      cell.low === undefined ? "–" : `${shown(cell.low, where, 1)}\u00a0–\u00a0${shown(cell.high, where, 1)}`,
      versus(board, row, column) || "–",
      (cell.marks || []).join(", "),
    ];
  });
  return listing("In every column", ["Column", "Metric", "Mean", "Interval", "Standing", "Marks"], rows);
}

/** A part that many records share: each form of it, with the seeds and the cells that have it. */
function variants(records, key, heading) {
  const forms = new Map();
  records.forEach((record) => {
    if (record[key] !== undefined) forms.set(record[key], [...(forms.get(record[key]) || []), record]);
  });
  return [...forms].map(([place, those]) => {
    const ids = those.map((record) => String(record.id).split("/").slice(1).join("/"));
    const of =
      forms.size > 1 ? ` of ${ids.slice(0, 3).join(", ")}${ids.length > 3 ? ` and ${ids.length - 3} more` : ""}` : "";
    return folded(
      heading + of,
      h(
        "div",
        { class: "wide" },
        listing(
          heading,
          ["Field", "Value"],
          flat(shared(place) || {}).map(([term, value]) => [term, name(value)]),
        ),
      ),
    );
  });
}

// What stands behind a cell, in a dialog: its numbers, its seeds, its cases, a rival, and how all that was made.

function openCell(board, row, column, button) {
  const [of, where] = [board.rows[row], board.columns[column]];
  const parts = of.source
    ? [h("p", {}, `Printed in ${of.source}; not measured here, and in no best, mean or rank.`)]
    : [seeds(board, row, column), ...cases(board, row, column), ...made(board, row, column)];
  const heading = [name(of.method), h("span", { class: "on" }, " on "), name(columnName(where))];
  openDialog(board, heading, [summary(board, row, column), ...parts], button);
  if (!of.source) remembered(board, of.method, where.name);
}

let opened = null; // the button to give the focus back to

/** A dialog over the page, of a cell or of a method; the focus goes to its heading, and back in the end. */
function openDialog(board, heading, content, button) {
  document.querySelector("dialog.details")?.close();
  hideTip();
  opened = button;
  const id = fresh("details");
  const close = h("button", { type: "button", class: "quiet close", click: () => dialog.close() }, "Close");
  const dialog = h(
    "dialog",
    { class: "details", "aria-labelledby": id, close: () => closed(board, dialog) },
    h("header", {}, h("h2", { id, tabindex: -1 }, heading), close),
    board.phantom ? h("p", { class: "warning" }, "PHANTOM data: numbers say nothing about medicine.") : null,
    h("div", { class: "body" }, content),
  );
  // A click on what is behind the dialog closes it; what is in it does not reach this far.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("h2").focus();
}

function remembered(board, row, column) {
  Object.assign(board.view, { row, column });
  remember(board);
}

function closed(board, dialog) {
  dialog.remove();
  if (document.querySelector("dialog.details")) return; // which came in its place
  remembered(board, "", "");
  if (opened?.isConnected) opened.focus();
}

// ------------------------------------------------------------------------------------------- its numbers

function summary(board, row, column) {
  const [cell, where] = [board.rows[row].cells[column], board.columns[column]];
  const facts = [];
  if (cell.low !== undefined) {
    facts.push([
      `${board.level * 100} % interval`,
      `${shown(cell.low, where)} – ${shown(cell.high, where)}`,
      "over other test cases" + (cell.done.length > 1 ? " and seeds" : ""),
    ]);
  }
  if (cell.cases)
    facts.push(["Test cases", String(cell.cases), where.official ? `${where.completeness} of the data set found` : ""]);
  const seedsAsked = ["done", "failed", "pending"].flatMap((state) => (cell[state] || []).map((seed) => [seed, state]));
  if (seedsAsked.length) {
    facts.push([
      "Seeds",
      `${(cell.done || []).length} of ${seedsAsked.length}`,
      cell.failed || cell.pending ? missing(cell) : "",
    ]);
  }
  const against = versus(board, row, column);
  if (against)
    facts.push(["Standing", cell.best ? "best" : cell.alike ? "not shown worse" : "behind", cell.best ? "" : against]);
  return h(
    "div",
    { class: "summary" },
    h(
      "p",
      { class: "value" },
      h("strong", {}, cell.mean === undefined ? cell.state : shown(cell.mean, where)),
      cell.std === undefined ? null : h("span", {}, ` ± ${shown(cell.std, where)}`),
      h(
        "small",
        {},
        [where.label, where.unit, where.higher ? "higher is better" : "lower is better"].filter(Boolean).join(", "),
      ),
    ),
    terms(facts),
    cell.marks ? h("p", { class: "marked" }, "Marked: ", cell.marks.map(explained).join(" · ")) : null,
    cell.low === undefined
      ? null
      : h(
          "p",
          { class: "hint" },
          `Interval: ${board.interval}.${board.tests.length ? ` Test: ${board.tests.join(", ")}.` : ""}`,
        ),
  );
}

// ------------------------------------------------------------------------------------------- its seeds

function seeds(board, row, column) {
  const [cell, where] = [board.rows[row].cells[column], board.columns[column]];
  if (!cell.means || !cell.means.length) return null;
  const rows = cell.done.map((seed, at) => {
    const record = recordOf(cell, at);
    return [
      `seed ${seed}`,
      shown(cell.means[at], where),
      record ? h("code", { title: cell.records[at] }, cell.records[at].slice(0, 10)) : "–",
      record ? String(record.started || "–").slice(0, 10) : "–",
      record ? duration(record.seconds) : "–",
    ];
  });
  const heads = ["Seed", where.label, "Record", "Started", "Took"];
  return part(
    "Seeds",
    "Dots are seeds, the line is their mean, the bar is its interval; the axis holds all methods of the column.",
    h(
      "div",
      { class: "pair" },
      h("div", { class: "wide" }, seedStrip(board, column, [row], room(480))),
      h("div", { class: "wide" }, listing("Seeds of the cell", heads, rows, "numbers")),
    ),
    everyRow(board, row, column),
  );
}

/** The same of every method in the column, the best first, drawn when it is opened. */
function everyRow(board, own, column) {
  const rows = board.rows.map((_, row) => row).filter((row) => board.rows[row].cells[column].means);
  if (rows.length < 2) return null;
  const way = board.columns[column].higher ? -1 : 1;
  const mean = (row) => way * board.rows[row].cells[column].mean;
  const place = h("div", { class: "wide" });
  const all = folded(`All ${rows.length} methods of the column`, place);
  all.addEventListener("toggle", () => {
    if (all.open)
      place.replaceChildren(
        seedStrip(
          board,
          column,
          rows.sort((a, b) => mean(a) - mean(b)),
          room(760),
          own,
        ),
      );
  });
  return all;
}

function recordOf(cell, at) {
  return (cell.records && data.records[cell.records[at]]) || null;
}

/** What a mark means. */
function explained(mark) {
  return data.marks[mark] || mark;
}

function part(heading, said, ...content) {
  return h("section", { class: "part" }, h("h3", {}, heading), said ? h("p", { class: "hint" }, said) : null, content);
}

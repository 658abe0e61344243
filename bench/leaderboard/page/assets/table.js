// The table, which is in the page already, made to answer: heads sort, cells open, rows and columns hide.

/** Take hold of a board's table: buttons in its heads and cells, and one of them in the order of the Tab key. */
function hold(board) {
  const table = board.section.querySelector("table.results");
  board.table = table;
  board.lines = board.rows.map((_, row) => table.querySelector(`tr[data-row="${row}"]`));
  board.heads = [...table.querySelectorAll("thead tr:last-child > th")];
  board.cells = board.lines.map((line) => [...line.querySelectorAll("td[data-column]")]);
  board.groups = [...table.tBodies].map((body) => ({ body, rows: [...body.rows].filter((r) => r.dataset.row) }));
  board.heads.forEach((head) => sortable(board, head));
  board.lines.forEach((line, row) => named(board, line.querySelector("th .method"), row));
  board.cells.forEach((cells, row) => cells.forEach((cell, column) => openable(board, cell, row, column)));
  table.addEventListener("keydown", (event) => walk(board, event));
}

function keyOf(board, head) {
  return head.dataset.key || board.columns[head.dataset.column].name;
}

function sortable(board, head) {
  const key = keyOf(board, head);
  const button = h("button", { type: "button", class: "sort", click: () => sortBy(board, key) });
  button.append(...head.childNodes);
  button.append(h("span", { class: "arrow", "aria-hidden": "true" }));
  head.append(button);
}

/** Best first, then worst first, then the order of the grid. */
function sortBy(board, key) {
  const { view } = board;
  if (view.sort !== key) Object.assign(view, { sort: key, worst: false });
  else if (!view.worst) view.worst = true;
  else Object.assign(view, { sort: "", worst: false });
  refresh(board);
  say(view.sort ? `Sorted by ${board.titles.get(key)}, ${sorted(view)} first.` : "In the order of the grid.");
}

function sorted({ sort, worst }) {
  return sort === "method" ? (worst ? "z" : "a") : worst ? "worst" : "best";
}

/** Which way the numbers go, as the attribute has it. */
function direction(board, key) {
  const up =
    key === "method" || key === "rank" || !(board.columns.find((c) => c.name === key) || board.columns[0]).higher;
  return up !== board.view.worst ? "ascending" : "descending";
}

/** The name of a measured row opens what stands behind it. */
function named(board, place, row) {
  if (board.rows[row].source) return;
  const button = h("button", {
    type: "button",
    class: "open",
    "aria-haspopup": "dialog",
    click: () => openMethod(board, row, button),
  });
  button.append(...place.childNodes);
  place.append(button);
}

function openable(board, cell, row, column) {
  const { state } = board.rows[row].cells[column];
  if (state === "absent") return;
  const seen = [...cell.childNodes].map((node) => node.textContent.trim()).join(" ");
  const label = spoken(seen, board.rows[row], board.rows[row].cells[column], board.columns[column], board.grouped);
  const button = h("button", {
    type: "button",
    class: "cell",
    tabindex: -1,
    "aria-label": label,
    "aria-haspopup": "dialog",
  });
  button.append(...cell.childNodes);
  button.addEventListener("click", () => openCell(board, row, column, button));
  tipped(button, () => cellTip(board, row, column));
  button.addEventListener("focus", () => pass(board, button));
  cell.append(button);
}

// ------------------------------------------------------------------------------------------- by keyboard

/** Cells share one stop of the Tab key, the one that was last in focus: three hundred stops would be a wall. */
function pass(board, button) {
  if (board.stop) board.stop.tabIndex = -1;
  board.stop = button;
  button.tabIndex = 0;
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** Arrows go to the next cell that is seen, Home and End to the ends of the row. */
function walk(board, event) {
  const button = event.target.closest("button.cell");
  if (!button || event.ctrlKey || event.altKey || event.metaKey) return;
  const lines = [...board.table.querySelectorAll("tr[data-row]:not([hidden])")];
  const across = (line) => [...line.querySelectorAll("td:not([hidden]) > button.cell:not([hidden])")];
  const line = button.closest("tr");
  let target = null;
  if (event.key === "Home" || event.key === "End") target = across(line).at(event.key === "Home" ? 0 : -1);
  else if (STEPS[event.key]) {
    const [down, right] = STEPS[event.key];
    if (right) target = across(line)[across(line).indexOf(button) + right] || null;
    const column = button.parentElement.dataset.column;
    for (let at = lines.indexOf(line) + down; down && !target && lines[at]; at += down) {
      target = across(lines[at]).find((one) => one.parentElement.dataset.column === column);
    }
  } else return;
  event.preventDefault();
  if (!target) return;
  uncover(board);
  target.focus();
}

/** The head and the first column, which stay in place, must not lie over the cell that one comes to. */
function uncover(board) {
  const [above, left] = [board.table.tHead.offsetHeight, board.heads[0].offsetWidth];
  board.table.parentElement.style.scrollPadding = `${above}px 0 0 ${left}px`;
}

// ------------------------------------------------------------------------------------------- as the view has it

/** Make the table, the charts and the address what the view says. */
function refresh(board, { keep = false } = {}) {
  const seen = board.columns.map((_, column) => columnSeen(board, column));
  columnsOf(board, seen);
  rowsOf(board);
  numbersOf(board, seen);
  for (const [name, on] of Object.entries(board.view)) {
    if (name === "spread" || name === "interval" || name === "shade") board.table.classList.toggle(`no-${name}`, !on);
  }
  settle(board);
  board.drawn.forEach((draw) => draw());
  if (!keep) remember(board);
}

function columnsOf(board, seen) {
  for (const head of board.heads) {
    if (head.dataset.column) head.hidden = !seen[head.dataset.column];
    if (board.view.sort === keyOf(board, head)) head.setAttribute("aria-sort", direction(board, keyOf(board, head)));
    else head.removeAttribute("aria-sort");
  }
  board.cells.forEach((cells) =>
    cells.forEach((cell, column) => {
      cell.hidden = !seen[column];
    }),
  );
  familiesOf(board, seen);
}

/** The row of families over the heads: neighbours of one family share a head. */
function familiesOf(board, seen) {
  const line = board.table.querySelector("tr.families");
  const before = board.heads.filter((head) => head.dataset.key).length;
  const width = before + seen.filter(Boolean).length;
  board.groups.forEach(({ body }) => body.querySelector("tr.group th")?.setAttribute("colspan", width));
  if (!line) return;
  const runs = [];
  board.columns
    .filter((_, column) => seen[column])
    .forEach(({ family }) => {
      if (runs.length && runs.at(-1)[0] === family) runs.at(-1)[1] += 1;
      else runs.push([family, 1]);
    });
  line.replaceChildren(
    h("td", { colspan: before }),
    ...runs.map(([family, size]) => h("th", { scope: "colgroup", colspan: size }, h("span", {}, h("b", {}, family)))),
  );
}

/** Rows in order, within their groups or, where those are given up, in one with the printed rows last. */
function rowsOf(board) {
  const { grouped } = board.view;
  const place = ({ body, rows }, all) => {
    const shown = all.filter((row) => rowSeen(board, row));
    all.forEach((row) => {
      board.lines[row].hidden = !rowSeen(board, row);
    });
    body.append(...ordered(board, shown).map((row) => board.lines[row]));
    body.hidden = !shown.length;
  };
  const measured = board.groups.filter(({ rows }) => rows.length && !board.rows[rows[0].dataset.row].source);
  const rest = board.groups.filter((group) => !measured.includes(group));
  const indices = (groups) => groups.flatMap(({ rows }) => rows.map((line) => Number(line.dataset.row)));
  if (grouped) measured.forEach((group) => place(group, indices([group])));
  else measured.forEach((group, number) => place(group, number ? [] : indices(measured)));
  rest.forEach((group) => place(group, indices([group])));
  board.groups.forEach(({ body }) => {
    const head = body.querySelector("tr.group");
    if (head) head.hidden = !grouped && !rest.some((group) => group.body === body);
  });
}

/** Hidden numbers, and how good each other is within its column: 0 for the worst that is seen and 1 for the best. */
function numbersOf(board, seen) {
  board.columns.forEach((column, index) => {
    if (!seen[index]) return;
    const rows = board.rows.map((_, row) => row).filter((row) => !board.rows[row].source && rowSeen(board, row));
    const means = rows.filter((row) => cellSeen(board, row, index)).map((row) => board.rows[row].cells[index].mean);
    const [low, high] = [Math.min(...means), Math.max(...means)];
    board.cells.forEach((cells, row) => {
      const { mean, state } = board.rows[row].cells[index];
      const hidden = mean !== undefined && !cellSeen(board, row, index);
      cells[index].classList.toggle("veiled", hidden);
      const button = cells[index].querySelector("button.cell");
      if (button) button.hidden = hidden;
      const share = high > low ? (mean - low) / (high - low) : 1;
      const graded = !hidden && mean !== undefined && state !== "published";
      cells[index].style.setProperty("--shade", graded ? (column.higher ? share : 1 - share).toFixed(3) : "0");
    });
  });
}

/** The one stop of the Tab key must be on a cell that is seen. */
function settle(board) {
  const gone = !board.stop || board.stop.hidden || board.stop.closest("[hidden]");
  const first = board.table.querySelector(
    "tbody:not([hidden]) tr:not([hidden]) > td:not([hidden]) > button.cell:not([hidden])",
  );
  if (gone && first) pass(board, first);
}

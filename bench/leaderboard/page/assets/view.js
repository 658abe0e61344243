// What of a board is seen, and in which order: kept in the address, so that a view can be linked to and gone back to.

const SETS = ["groups", "families", "protocols", "columns", "marks"]; // names that are hidden
const SWITCHES = { printed: true, grouped: true, spread: true, interval: true, shade: true };
const CHOICES = ["sort", "query", "x", "y", "row", "column"]; // row and column: of the cell that is open

function freshView() {
  return {
    ...Object.fromEntries(SETS.map((set) => [set, new Set()])),
    ...SWITCHES,
    ...Object.fromEntries(CHOICES.map((choice) => [choice, ""])),
    worst: false, // first
    profiles: [], // methods of the radar, by name
  };
}

/** The view of an address, and the name of its board. */
function viewOf(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const view = freshView();
  for (const set of SETS) view[set] = new Set(said.getAll(set));
  for (const choice of CHOICES) view[choice] = said.get(choice) || "";
  for (const name of Object.keys(SWITCHES)) if (said.has(name)) view[name] = said.get(name) === "yes";
  view.worst = said.get("worst") === "yes";
  view.profiles = said.getAll("profiles");
  return [said.get("board") || "", view];
}

/** The address of a view: only what differs from the first view of a board. */
function hashOf(board, view) {
  const said = new URLSearchParams({ board });
  for (const set of SETS) for (const one of view[set]) said.append(set, one);
  for (const choice of CHOICES) if (view[choice]) said.set(choice, view[choice]);
  for (const [name, usual] of Object.entries(SWITCHES)) {
    if (view[name] !== usual) said.set(name, view[name] ? "yes" : "no");
  }
  if (view.worst) said.set("worst", "yes");
  for (const one of view.profiles) said.append("profiles", one);
  return `#${said}`;
}

// ------------------------------------------------------------------------------------------- what is left to see

function columnSeen(board, index) {
  const column = board.columns[index];
  const { families, protocols, columns } = board.view;
  return !families.has(column.family) && !protocols.has(column.protocol) && !columns.has(column.name);
}

function rowSeen(board, index) {
  const row = board.rows[index];
  const { groups, query, printed } = board.view;
  if (row.source) {
    if (!printed) return false;
  } else if (groups.has(row.group)) return false;
  return row.method.toLowerCase().includes(query.trim().toLowerCase());
}

/** Whether a number is there and no mark that is hidden is on it. */
function cellSeen(board, row, column) {
  const cell = board.rows[row].cells[column];
  return cell.mean !== undefined && !(cell.marks || []).some((mark) => board.view.marks.has(mark));
}

/** What a row is sorted by, less is first; null comes last whichever way. */
function sortKey(board, index) {
  const row = board.rows[index];
  const { sort } = board.view;
  if (sort === "mean") return row.mean === null ? null : (board.columns[0].higher ? -1 : 1) * row.mean;
  if (sort === "rank") return board.ranks.has(row.method) ? board.ranks.get(row.method).mean_rank : null;
  const column = board.columns.findIndex((one) => one.name === sort);
  if (column < 0 || !cellSeen(board, index, column)) return null;
  return (board.columns[column].higher ? -1 : 1) * row.cells[column].mean;
}

/** Rows by index in the order they are seen; equal ones stay as they were. */
function ordered(board, rows) {
  const { sort, worst } = board.view;
  if (!sort) return rows;
  const way = worst ? -1 : 1;
  if (sort === "method") {
    return [...rows].sort(
      (a, b) => way * board.rows[a].method.localeCompare(board.rows[b].method, "en", { numeric: true }),
    );
  }
  const keys = new Map(rows.map((row) => [row, sortKey(board, row)]));
  return [...rows].sort((a, b) => {
    const [first, second] = [keys.get(a), keys.get(b)];
    if (first === null || second === null) return (first === null) - (second === null);
    return way * (first - second);
  });
}

// The data of the page: read once, and of per-case values only what is asked for.

const data = JSON.parse(document.getElementById("data").textContent);

/** Codes as numbers: bytes where the column lists its levels, else 16 bits, the lower first. */
function codes(text, wide) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  if (!wide) return Array.from(bytes);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 2 }, (_, place) => view.getUint16(2 * place, true));
}

/** The values of a cell by case, a list for each seed that is done; null where a cell has none of its own. */
function perSeed(board, row, column) {
  const cell = board.rows[row].cells[column];
  const { levels, low, step } = board.columns[column];
  if (!cell.values) return null;
  const all = codes(cell.values, !levels).map((code) => (levels ? levels[code] : low + code * step));
  const size = data.lists[cell.list].length;
  return cell.done.map((_, seed) => all.slice(seed * size, (seed + 1) * size));
}

/** The mean over seeds of each list of values by case. */
function meanOf(seeds) {
  return seeds[0].map((_, place) => seeds.reduce((sum, of) => sum + of[place], 0) / seeds.length);
}

/** A part of a record that others have too. */
function shared(number) {
  return number === undefined || number === null ? null : data.shared[number];
}

// ------------------------------------------------------------------------------------------- in words

/** A number with so many decimals; nothing is "-0.00". */
function fixed(value, decimals) {
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** A value of a column as its readers are shown it. */
function shown(value, column, less = 0) {
  if (value === null || value === undefined) return "–";
  return fixed(column.factor * value, Math.max(0, column.decimals - less));
}

/** The unit of differences. */
function points(column) {
  return column.unit === "%" ? "points" : column.unit;
}

function withUnit(text, unit) {
  return unit ? `${text} ${unit}` : text;
}

function columnName(column) {
  return [column.task, column.protocol].filter(Boolean).join(" / ");
}

/** As a word of a shell. */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

function duration(seconds) {
  if (typeof seconds !== "number") return "–";
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function probability(p) {
  return p < 0.0001 ? "p < 0.0001" : `p = ${p.toFixed(4)}`;
}

/** What a cell says, for who cannot see it: first what is `seen`, by which it is called in speech. */
function spoken(seen, row, cell, column, grouped) {
  const parts = [`${seen} ${cell.mean === undefined ? "" : column.unit}`.trim(), row.method, columnName(column)];
  if (cell.best) parts.push("best of the column");
  else if (cell.alike) parts.push("not shown to be worse than the best");
  if (cell.leads && grouped) parts.push("best of its group");
  return [...parts, ...(cell.marks || [])].join(", ");
}

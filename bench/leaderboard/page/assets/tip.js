// What is said of a cell or a mark on a chart when one points at it or comes to it by keyboard. Escape hides it, and it
// stays while the pointer is on it (WCAG 2.2, 1.4.13).

// Milliseconds: who runs down a column is not held up by what lies over the next cells; who rests may go there.
const REST = 500;
const tip = h("div", { class: "tip", role: "tooltip", id: "tip" });
let tipOf = null;
let leaving = 0;
let resting = 0;

/** Show what `content` gives while `node` has the pointer or the focus. */
function tipped(node, content) {
  node.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "touch") return;
    showTip(node, content);
    resting = setTimeout(() => tip.classList.add("settled"), REST);
  });
  node.addEventListener("focus", () => {
    if (node.matches(":focus-visible")) showTip(node, content);
  });
  node.addEventListener("pointerleave", hideTipSoon);
  node.addEventListener("blur", hideTip);
}

function showTip(node, content) {
  clearTimeout(leaving);
  clearTimeout(resting);
  tip.classList.remove("settled");
  if (tipOf && tipOf !== node) tipOf.removeAttribute("aria-describedby");
  tipOf = node;
  tip.replaceChildren(...content());
  tip.classList.add("shown");
  node.setAttribute("aria-describedby", "tip");
  placed(tip, node.getBoundingClientRect());
}

/** Below the node, or above where there is no room; never over the edge. */
function placed(box, at) {
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(
    Math.max(8, at.left + at.width / 2 - width / 2),
    document.documentElement.clientWidth - width - 8,
  );
  const below = at.bottom + 8 + height < window.innerHeight;
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${below ? at.bottom + 6 : Math.max(4, at.top - height - 6)}px`;
}

function hideTipSoon() {
  clearTimeout(leaving);
  leaving = setTimeout(hideTip, 120);
}

function hideTip() {
  clearTimeout(leaving);
  clearTimeout(resting);
  tip.classList.remove("shown");
  if (tipOf) tipOf.removeAttribute("aria-describedby");
  tipOf = null;
}

tip.addEventListener("pointerenter", () => clearTimeout(leaving));
tip.addEventListener("pointerleave", hideTipSoon);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && tipOf) hideTip();
});
// Coming to a cell by keyboard may scroll the table: what is told of it goes along, until the cell is out of sight.
document.addEventListener(
  "scroll",
  () => {
    if (!tipOf) return;
    const at = tipOf.getBoundingClientRect();
    if (at.bottom < 0 || at.top > window.innerHeight) hideTip();
    else placed(tip, at);
  },
  { capture: true, passive: true },
);

/** Of a cell: its seeds and its interval on the scale of its column, and the same in words. */
function cellTip(board, row, column) {
  const [of, cell, where] = [board.rows[row], board.rows[row].cells[column], board.columns[column]];
  const head = h("strong", {}, name(of.method), " · ", name(columnName(where)));
  if (cell.mean === undefined) return [head, h("p", {}, missing(cell))];
  const lines = [];
  (cell.means || []).forEach((mean, seed) => lines.push([`seed ${cell.done[seed]}`, shown(mean, where)]));
  if (cell.low !== undefined) {
    lines.push([`${board.level * 100} % interval`, `${shown(cell.low, where)} to ${shown(cell.high, where)}`]);
  }
  if (cell.cases) lines.push(["test cases", cell.cases]);
  const against = versus(board, row, column);
  const said = [...(cell.marks || []), ...(cell.failed || cell.pending ? [missing(cell)] : [])];
  return [
    head,
    cell.means ? seedStrip(board, column, [row], 260) : null,
    h(
      "dl",
      {},
      lines.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
    ),
    against ? h("p", {}, against) : null,
    said.length ? h("p", { class: "marked" }, said.join(" · ")) : null,
  ].filter(Boolean);
}

function missing({ state, failed = [], pending = [] }) {
  const said = [];
  if (failed.length) said.push(`failed: seeds ${failed.join(", ")}`);
  if (pending.length) said.push(`pending: seeds ${pending.join(", ")}`);
  return said.join("; ") || state;
}

/** How a cell stands to the best of its column, by the test that the board made. */
function versus(board, row, column) {
  const cell = board.rows[row].cells[column];
  if (cell.best) return "Best of the column.";
  const best = board.rows.find((of) => of.cells[column].best);
  if (!best || cell.p === undefined) return "";
  const difference = board.columns[column].factor * Math.abs(cell.mean - best.cells[column].mean);
  const amount = withUnit(fixed(difference, board.columns[column].decimals), points(board.columns[column]));
  return `${amount} behind the best, ${best.method}: ${cell.alike ? "not shown to be worse, " : ""}${probability(
    cell.p,
  )}, adjusted.`;
}

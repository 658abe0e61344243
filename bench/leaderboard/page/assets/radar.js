// Profiles: a few methods over the tasks of a family, each axis from the worst to the best method of the board.

const MOST = 4; // lines that can be told apart in one figure

function profiles(board) {
  const measured = board.rows.map((_, row) => row).filter((row) => !board.rows[row].source);
  if (measured.length < 2) return;
  const first = leaders(board, measured);
  const stage = h("div", { class: "radars" });
  const picked = h("div", { class: "picks", role: "group", "aria-label": `Methods to draw, at most ${MOST}` });
  const draw = () => {
    const { profiles: names } = board.view;
    const chosen = names.length
      ? measured.filter((row) => names.includes(board.rows[row].method)).slice(0, MOST)
      : first;
    picked.replaceChildren(
      ...measured.map((row) =>
        pick(board, row, chosen, () => {
          draw();
          remember(board);
        }),
      ),
    );
    stage.replaceChildren(...families(board).map(([family, columns]) => profile(board, family, columns, chosen)));
  };
  board.section
    .querySelector(".charts")
    .append(
      figure(
        "Profiles by family",
        `Each axis goes from the worst method of the board (centre) to the best (rim). At most ${MOST} methods.`,
        picked,
        stage,
      ),
    );
  board.drawn.push(draw);
  draw();
}

/** The first three by rank, or else as they stand. */
function leaders(board, rows) {
  const place = (row) => board.ranks.get(board.rows[row].method)?.mean_rank ?? Infinity;
  return [...rows]
    .sort((a, b) => place(a) - place(b) || a - b)
    .slice(0, 3)
    .sort((a, b) => a - b);
}

function pick(board, row, chosen, changed) {
  const { method } = board.rows[row];
  const on = chosen.includes(row);
  return h(
    "button",
    {
      type: "button",
      class: on ? `pick line-${chosen.indexOf(row)}` : "pick",
      "aria-pressed": String(on),
      disabled: !on && chosen.length >= MOST,
      click: () => {
        const now = chosen.map((one) => board.rows[one].method);
        board.view.profiles = on ? now.filter((one) => one !== method) : [...now, method];
        changed();
        [...board.section.querySelectorAll(".pick")].find((one) => one.textContent === method)?.focus();
      },
    },
    name(method),
  );
}

/** Columns that are seen, by family. */
function families(board) {
  const found = new Map();
  board.columns.forEach((column, index) => {
    if (!columnSeen(board, index)) return;
    const key = column.family || "All tasks";
    found.set(key, [...(found.get(key) || []), index]);
  });
  return [...found];
}

function profile(board, family, columns, chosen) {
  const axes = columns.map((index) => axisOf(board, index)).filter(Boolean);
  const value = (axis, row) => `${columnName(axis.column)} ${shown(axis.value(row), axis.column)}`;
  const values = (row) => axes.map((axis) => value(axis, row)).join(", ");
  const said = chosen.map((row) => `${board.rows[row].method}: ${values(row)}`).join("; ");
  const protocols = [...new Set(axes.map((axis) => axis.column.protocol))];
  const heading = h("h4", {}, [family, protocols.length === 1 ? protocols[0] : ""].filter(Boolean).join(" · "));
  if (!axes.length) return h("div", {}, heading, h("p", { class: "hint" }, "No results."));
  const few = axes.length < 3;
  return h(
    "div",
    { class: "profile" },
    heading,
    h("div", { class: "wide" }, few ? rails(board, axes, chosen, said) : web(axes, chosen, said, protocols.length > 1)),
    few ? h("p", { class: "hint" }, "Fewer than three tasks: lines in place of a radar.") : null,
  );
}

function axisOf(board, index) {
  const column = board.columns[index];
  const value = (row) => (cellSeen(board, row, index) ? board.rows[row].cells[index].mean : null);
  const all = board.rows.map((row, at) => (row.source ? null : value(at))).filter((one) => one !== null);
  if (!all.length) return null;
  const ends = [Math.min(...all), Math.max(...all)];
  const [worst, best] = column.higher ? ends : ends.reverse();
  const share = (row) => (value(row) === null ? null : best === worst ? 1 : (value(row) - worst) / (best - worst));
  return { column, worst, best, value, share };
}

/** A radar: the name of each task outside, the best beneath it, the worst at the centre's end. */
function web(axes, chosen, said, several) {
  const width = room(420);
  const [height, radius] = [340, Math.min(105, width / 2 - 95)];
  const [x, y] = [width / 2, height / 2];
  const spot = (at, share) => {
    const angle = (2 * Math.PI * at) / axes.length - Math.PI / 2;
    const length = radius * (0.12 + 0.88 * share); // the worst is not the very centre, where lines would meet
    return [x + length * Math.cos(angle), y + length * Math.sin(angle)];
  };
  const ring = (share) =>
    `M${axes
      .map((_, at) =>
        spot(at, share)
          .map((v) => v.toFixed(1))
          .join(" "),
      )
      .join("L")}Z`;
  const line = (row, number) => {
    const spots = axes.map((axis, at) => (axis.share(row) === null ? null : spot(at, axis.share(row))));
    // Where a task is missing the line breaks off, and no area is filled that would say otherwise.
    const to = (of) => of.map((v) => v.toFixed(1)).join(" ");
    const next = (at) => spots[(at + 1) % spots.length];
    const whole = spots.every(Boolean);
    const path = whole
      ? `M${spots.map(to).join("L")}Z`
      : spots.map((of, at) => (of && next(at) ? `M${to(of)}L${to(next(at))}` : "")).join("");
    return s(
      "g",
      { class: `line-${number}` },
      path ? s("path", { class: whole ? "area" : "area open", d: path }) : null,
      spots.filter(Boolean).map(([cx, cy]) => s("circle", { cx, cy, r: 3 })),
    );
  };
  return drawing(
    width,
    height,
    said,
    [0, 0.5, 1].map((share) => s("path", { class: "grid", d: ring(share) })),
    axes.map((axis, at) => spoke(axis, at, spot, x, y, several)),
    chosen.map(line),
  );
}

function spoke({ column, worst, best }, at, spot, middle, centre, several) {
  const [tx, ty] = spot(at, 1.16);
  const anchor = Math.abs(tx - middle) < 12 ? "middle" : tx > middle ? "start" : "end";
  const [ex, ey] = spot(at, 1);
  const [sx, sy] = spot(at, 0);
  const down = Math.abs(ty - centre) < 12 ? -2 : ty < centre ? -10 : 6;
  const task = several ? `${short(column.task, 16)} / ${short(column.protocol, 10)}` : short(column.task, 20);
  return [
    s("line", { class: "grid", x1: sx, y1: sy, x2: ex, y2: ey }),
    label(tx, ty + down, task, { class: "name", "text-anchor": anchor }),
    label(tx, ty + down + 13, `${shown(worst, column, 1)} – ${shown(best, column, 1)}`, {
      class: "tick",
      "text-anchor": anchor,
    }),
  ];
}

/** One or two tasks make no polygon: each a line from worst to best, with the methods on it. */
function rails(board, axes, chosen, said) {
  const [width, left, right] = [room(420), 14, room(420) - 14];
  return drawing(
    width,
    axes.length * 74 + 8,
    said,
    axes.map((axis, at) => {
      const y = 42 + at * 74;
      return [
        label(left, y - 20, `${short(axis.column.task, 24)} / ${axis.column.protocol}`, { class: "name" }),
        s("line", { class: "grid strong", x1: left, x2: right, y1: y, y2: y }),
        label(left, y + 22, `worst ${shown(axis.worst, axis.column)}`, { class: "tick" }),
        label(right, y + 22, `best ${shown(axis.best, axis.column)}`, { class: "tick", "text-anchor": "end" }),
        chosen.map((row, number) =>
          axis.share(row) === null
            ? null
            : s(
                "g",
                { class: `line-${number}` },
                s(
                  "circle",
                  { cx: left + axis.share(row) * (right - left), cy: y, r: 6 },
                  s("title", {}, `${board.rows[row].method}: ${shown(axis.value(row), axis.column)}`),
                ),
              ),
        ),
      ];
    }),
  );
}

// From the data to a page that answers: the boards, one of them seen, and the view that its address names.

let current = null;

function start() {
  document.body.append(voice, tip);
  const boards = data.boards.map(prepared);
  boards.forEach((board) => {
    hold(board);
    tools(board);
  });
  document.querySelector(".page-tools").append(...[tabs(boards), theme()].filter(Boolean));
  const follow = () => followed(boards);
  window.addEventListener("hashchange", follow);
  onWidth(() => boards.forEach((board) => [...board.drawn, ...board.resized].forEach((redraw) => redraw())));
  follow();
  document.documentElement.classList.add("ready");
  performance.mark("table ready");
  // The table answers first; charts may take their time.
  const draw = () => {
    boards.forEach(charts);
    performance.mark("charts ready");
    document.documentElement.classList.add("drawn");
  };
  requestAnimationFrame(() => setTimeout(draw));
}

/** Charts have the width that the window has when they are drawn. */
function onWidth(redraw) {
  let [width, waiting] = [window.innerWidth, 0];
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(redraw);
  });
}

/** A board's data with what the script knows of it. */
function prepared(board, index) {
  const section = document.querySelectorAll("section.board")[index];
  const titles = new Map([
    ["method", "method"],
    ["mean", "mean"],
    ["rank", "mean rank"],
  ]);
  board.columns.forEach((column) => titles.set(column.name, columnName(column)));
  const ranks = new Map((board.ranking ? board.ranking.rows : []).map((row) => [row.method, row]));
  return { ...board, section, titles, ranks, view: freshView(), drawn: [], resized: [] };
}

function charts(board) {
  costChart(board);
  rankCharts(board);
  profiles(board);
}

/** One board at a time: real data and phantoms are never seen together. */
function tabs(boards) {
  if (boards.length < 2) return null;
  const buttons = boards.map((board) =>
    h(
      "button",
      { type: "button", "aria-pressed": "false", click: () => choose(boards, board) },
      board.phantom ? "Phantom data" : "Real data",
    ),
  );
  boards.forEach((board, index) => {
    board.tab = buttons[index];
  });
  return h("div", { class: "tabs", role: "group", "aria-label": "Kind of data" }, buttons);
}

function choose(boards, board) {
  show(boards, board);
  remember(board);
}

function show(boards, board) {
  current = board;
  for (const one of boards) {
    one.section.hidden = one !== board;
    if (one.tab) one.tab.setAttribute("aria-pressed", String(one === board));
  }
}

// ------------------------------------------------------------------------------------------- the address

/** Draw the board and the view that the address names. */
function followed(boards) {
  if (!boards.length) return;
  const [said, view] = viewOf(location.hash);
  const board = boards.find((one) => one.name === said) || boards[0];
  Object.assign(board.view, view);
  show(boards, board);
  boards.forEach((one) => {
    one.boxes.forEach((draw) => draw());
    refresh(one, { keep: true });
  });
  const row = board.rows.findIndex((one) => one.method === view.row && !one.source);
  const column = board.columns.findIndex((one) => one.name === view.column);
  if (row >= 0 && column >= 0) openCell(board, row, column, board.cells[row][column].querySelector("button"));
  else if (row >= 0) openMethod(board, row, board.lines[row].querySelector("button.open"));
}

function remember(board) {
  if (board !== current) return;
  const hash = hashOf(board.name, board.view);
  const usual = hash === `#board=${board.name}`;
  try {
    history.replaceState(null, "", usual ? location.href.split("#")[0] : hash);
  } catch {
    // Some browsers refuse more than a hundred a minute; the next change has all that this one had.
  }
}

// ------------------------------------------------------------------------------------------- dark and light

function theme() {
  const dark = () =>
    (document.documentElement.dataset.theme ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const button = h(
    "button",
    {
      type: "button",
      class: "quiet",
      "aria-pressed": String(dark()),
      click: () => {
        document.documentElement.dataset.theme = dark() ? "light" : "dark";
        button.setAttribute("aria-pressed", String(dark()));
        try {
          localStorage.setItem("theme", document.documentElement.dataset.theme);
        } catch {
          /* a page from disk may not keep it */
        }
      },
    },
    "Dark",
  );
  try {
    const kept = localStorage.getItem("theme");
    if (kept) document.documentElement.dataset.theme = kept === "dark" ? "dark" : "light";
  } catch {
    /* as above */
  }
  button.setAttribute("aria-pressed", String(dark()));
  return button;
}

start();

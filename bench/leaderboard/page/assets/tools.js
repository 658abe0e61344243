// The tools over a table: find, hide, choose, copy. Every one of them changes the view and has it drawn again.

function tools(board) {
  const unique = (names) => [...new Set(names)].filter(Boolean);
  const groups = unique(board.rows.filter((row) => !row.source).map((row) => row.group));
  const families = unique(board.columns.map((column) => column.family));
  const protocols = unique(board.columns.map((column) => column.protocol));
  const marks = unique(board.rows.flatMap((row) => row.cells.flatMap((cell) => cell.marks || [])));
  const place = board.section.querySelector(".tools");
  board.count = h("span", { class: "count", role: "status", "aria-live": "polite" });
  board.boxes = [];
  place.append(
    ...[
      finder(board),
      groups.length > 1 ? menu(board, "Groups", "groups", groups) : null,
      families.length > 1 ? menu(board, "Families", "families", families) : null,
      protocols.length > 1 ? menu(board, "Protocols", "protocols", protocols) : null,
      menu(
        board,
        "Columns",
        "columns",
        board.columns.map((column) => column.name),
        (key) => key.replace("/", " / "),
      ),
      marks.length ? menu(board, "Hide marked", "marks", marks, undefined, true) : null,
      switches(board),
      h("span", { class: "grow" }),
      board.count,
      action("Copy CSV", () => copy(csv(board), "the table that is seen, as CSV")),
      action("Copy link", () =>
        copy(location.href.split("#")[0] + hashOf(board.name, board.view), "a link to this view"),
      ),
      action("Reset", () => reset(board)),
    ].filter(Boolean),
  );
  board.drawn.push(() => counted(board));
}

function action(label, click) {
  return h("button", { type: "button", class: "quiet", click }, label);
}

function finder(board) {
  const input = h("input", {
    type: "search",
    placeholder: "Find a method",
    "aria-label": "Find a method",
    spellcheck: "false",
    input: () => {
      board.view.query = input.value;
      refresh(board);
    },
  });
  board.boxes.push(() => {
    input.value = board.view.query;
  });
  return input;
}

/** A list of names to tick. Ticked ones are seen or, where `hides`, hidden; the view holds those that are hidden. */
function menu(board, label, set, names, text = (key) => key, hides = false) {
  const count = h("span", { class: "number" });
  const boxes = names.map((key) => {
    const box = h("input", {
      type: "checkbox",
      change: () => {
        if (box.checked === hides) board.view[set].add(key);
        else board.view[set].delete(key);
        refresh(board);
      },
    });
    board.boxes.push(() => {
      box.checked = board.view[set].has(key) === hides;
    });
    return h("label", {}, box, name(text(key)));
  });
  board.drawn.push(() => {
    const hidden = names.filter((key) => board.view[set].has(key)).length;
    count.textContent = hidden ? (hides ? `${hidden}` : `${names.length - hidden}/${names.length}`) : "";
  });
  const every = (hidden) => () => {
    board.view[set] = new Set(hidden ? names : []);
    board.boxes.forEach((draw) => draw());
    refresh(board);
  };
  const both = h(
    "div",
    { class: "both" },
    action(hides ? "Hide all" : "All", every(hides)),
    action(hides ? "Hide none" : "None", every(!hides)),
  );
  return popping(label, count, h("fieldset", {}, h("legend", { class: "unseen" }, label), boxes), both);
}

function switches(board) {
  const said = {
    ...(board.grouped ? { grouped: "Rows in groups" } : {}),
    shade: "Shade by value",
    spread: "± over seeds",
    interval: "Intervals",
  };
  if (board.rows.some((row) => row.source)) said.printed = "What others print";
  const boxes = Object.entries(said).map(([key, label]) => {
    const box = h("input", {
      type: "checkbox",
      change: () => {
        board.view[key] = box.checked;
        refresh(board);
      },
    });
    board.boxes.push(() => {
      box.checked = board.view[key];
    });
    return h("label", {}, box, label);
  });
  return popping("View", null, h("fieldset", {}, h("legend", { class: "unseen" }, "View"), boxes));
}

/** A menu that opens under its name, and closes on Escape or when one turns to something else. */
function popping(label, count, ...content) {
  const summary = h("summary", {}, label, " ", count);
  const details = h("details", { class: "menu" }, summary, h("div", { class: "sheet" }, content));
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    summary.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!details.contains(event.target)) details.open = false;
  });
  details.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !details.contains(event.relatedTarget)) details.open = false;
  });
  return details;
}

function reset(board) {
  Object.assign(board.view, freshView());
  board.boxes.forEach((draw) => draw());
  refresh(board);
  say("The view is as it was first.");
}

function counted(board) {
  const rows = board.rows.filter((row, index) => !row.source && rowSeen(board, index)).length;
  const columns = board.columns.filter((_, index) => columnSeen(board, index)).length;
  const all = board.rows.filter((row) => !row.source).length;
  board.count.textContent = `${rows} of ${all} methods, ${columns} of ${board.columns.length} columns`;
}

// ------------------------------------------------------------------------------------------- as CSV

/** The rows and columns that are seen, in the order that they are seen in: raw numbers in the unit of the metric. */
function csv(board) {
  const columns = board.columns.map((_, index) => index).filter((index) => columnSeen(board, index));
  const head = [
    "group",
    "method",
    ...columns.flatMap((index) => {
      const { name: key, metric } = board.columns[index];
      return [`${key} ${metric}`, `${key} std`, `${key} low`, `${key} high`];
    }),
  ];
  const lines = [...board.table.querySelectorAll("tbody:not([hidden]) > tr[data-row]:not([hidden])")].map((line) => {
    const row = board.rows[line.dataset.row];
    const numbers = columns.flatMap((index) => {
      const cell = row.cells[index];
      return cellSeen(board, Number(line.dataset.row), index)
        ? [cell.mean, cell.std, cell.low, cell.high]
        : ["", "", "", ""];
    });
    return [row.source || row.group, row.method, ...numbers];
  });
  return [head, ...lines].map((line) => line.map(field).join(",")).join("\n") + "\n";
}

/** A field of CSV; text that a spreadsheet would take for a formula is kept from being one. */
function field(value) {
  if (value === undefined || value === null) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// How a cell was made: settings, data, environment, its pretraining, and the commands that show and repeat it.

// Metrics of masks and boxes, which can be drawn over images.
const PICTURED = /^(dice|iou|hd95|nsd|release_|map|ap|froc|f1)/;

function made(board, row, column) {
  const [cell, where] = [board.rows[row].cells[column], board.columns[column]];
  const records = (cell.records || []).map((key) => data.records[key]).filter(Boolean);
  const sources = records.map((record) => data.records[record.pretraining]).filter(Boolean);
  const parts = [];
  if (records.length) {
    const metrics = measures(records);
    parts.push(
      part(
        "How it was made",
        records.length > 1 ? "One column where all seeds agree." : "",
        metrics ? folded("Every metric of the records", metrics) : null,
        compared("Method and recipe", records, "encoder", "config"),
        compared("Protocol", records, "protocol"),
        compared("Task", records, "task"),
        compared("Data", records, "data"),
        compared("Cases of each part", records, "cases"),
        compared("Environment", records, "environment"),
        runs(records),
        files(cell, records),
      ),
    );
  }
  if (sources.length) parts.push(pretrainings(sources));
  if (!records.length) parts.push(h("p", { class: "hint" }, "The records are not in this file; the store has them."));
  parts.push(commands(cell, where, sources.length));
  return parts;
}

/** A nested object as [dotted name, text] pairs. */
function flat(value, prefix = "") {
  if (value === null || typeof value !== "object") return [[prefix, value === null ? "none" : String(value)]];
  const entries = Object.entries(value);
  if (!entries.length) return [[prefix, Array.isArray(value) ? "[]" : "{}"]];
  if (Array.isArray(value) && entries.every(([, one]) => typeof one !== "object" || one === null))
    return [[prefix, value.join(", ")]];
  return entries.flatMap(([key, one]) => flat(one, prefix ? `${prefix}.${key}` : key));
}

/** A shared part of several records: one column where they agree, else one for each seed, and what differs marked. */
function compared(heading, records, key) {
  const places = [...new Set(records.map((record) => record[key]))].filter((place) => place !== undefined);
  if (!places.length) return null;
  const columns = (places.length > 1 ? records : records.slice(0, 1)).map(
    (record) => new Map(flat(shared(record[key]) || {})),
  );
  const names = [...new Set(columns.flatMap((of) => [...of.keys()]))];
  const heads = columns.length > 1 ? records.map((record) => `seed ${record.seed}`) : ["Value"];
  const rows = names.map((term) => {
    const values = columns.map((of) => of.get(term) ?? "–");
    const differ = new Set(values).size > 1;
    return [differ ? h("mark", {}, term) : term, ...values.map((value) => name(value))];
  });
  return folded(
    `${heading}${places.length > 1 ? " (seeds differ)" : ""}`,
    h("div", { class: "wide" }, listing(heading, ["Field", ...heads], rows)),
  );
}

/** The summary of every metric that was computed, in the unit of the store. */
function measures(records) {
  const names = [...new Set(records.flatMap((record) => Object.keys(record.summary || {})))];
  if (!names.length) return null;
  const number = (value) => (typeof value === "number" ? value.toPrecision(5) : "–");
  return h(
    "div",
    { class: "wide" },
    listing(
      "Metrics",
      ["Metric", ...records.map((record) => `seed ${record.seed}`)],
      names.map((key) => [key, ...records.map((record) => number((record.summary || {})[key]))]),
      "numbers",
    ),
  );
}

function runs(records) {
  const rows = records.map((record) => [
    `seed ${record.seed}`,
    String(record.started ?? "–"),
    duration(record.seconds),
    record.peak_memory_mb ? `${record.peak_memory_mb} MB` : "–",
    flat(record.chosen || {})
      .map(([key, value]) => `${key} ${value.slice(0, 8)}`)
      .join(", "),
  ]);
  return folded(
    "Runs",
    h(
      "div",
      { class: "wide" },
      listing("Runs", ["Seed", "Started", "Took", "Peak memory", "Chosen on validation"], rows),
    ),
  );
}

function files(cell, records) {
  const rows = records.flatMap((record, at) =>
    Object.entries(record.files || {}).map(([file, digest]) => [
      `jobs/${cell.records[at]}/${file}`,
      h("code", {}, String(digest)),
    ]),
  );
  return folded(
    "Keys and SHA-256 of files",
    h("div", { class: "wide" }, listing("Files", ["File in the store", "SHA-256"], rows)),
  );
}

// ------------------------------------------------------------------------------------------- the pretraining

function pretrainings(sources) {
  const curves = [...new Set(sources.flatMap((source) => Object.keys(source.history || {})))];
  const rows = sources.map((source) => [
    source.id,
    duration(source.seconds),
    source.images_per_second ? String(source.images_per_second) : "–",
    source.collapsed || "no",
  ]);
  return part(
    "Pretraining",
    "",
    h("div", { class: "wide" }, listing("Pretrainings", ["Record", "Took", "Images/s", "Collapsed"], rows, "numbers")),
    curves.length ? h("div", { class: "curves" }, curves.map((key) => curve(key, sources)).filter(Boolean)) : null,
    compared("Data of the corpus", sources, "data"),
    compared("Environment of the pretraining", sources, "environment"),
  );
}

/** A curve over epochs, with a line for each seed. */
function curve(key, sources) {
  const lines = sources
    .map((source) => (source.history || {})[key])
    .map((of) => (Array.isArray(of) ? of : []))
    .map((of) => of.filter((value) => typeof value === "number"));
  const values = lines.flat();
  if (lines.every((of) => of.length < 2)) return null;
  const [width, height, left, bottom] = [250, 130, 44, 106];
  const [low, high] = airy(values);
  const y = scaled(low, high, bottom, 22);
  const path = (of) =>
    of
      .map(
        (value, at) =>
          `${at ? "L" : "M"}${(left + (at * (width - left - 8)) / (of.length - 1)).toFixed(1)} ${y(value).toFixed(1)}`,
      )
      .join("");
  const range = `from ${brief(lines[0][0] ?? 0)} to ${brief(lines[0].at(-1) ?? 0)}`;
  const said = `${key} of pretraining ${range} in the first seed.`;
  return drawing(
    width,
    height,
    said,
    beside(y, ticks(low, high, 3), left, width - 8),
    lines.filter((of) => of.length > 1).map((of) => s("path", { class: "line", d: path(of) })),
    label(left, 12, key.replaceAll("_", " "), { class: "axis" }),
    label(width - 8, bottom + 16, "epochs", { class: "tick", "text-anchor": "end" }),
  );
}

// ------------------------------------------------------------------------------------------- commands

function commands(cell, column, pretrained) {
  const ids = (cell.done || []).length ? cell.done : [...(cell.failed || []), ...(cell.pending || [])];
  if (!ids.length) return null;
  const id = quoted(`${cell.id}/${ids[0]}`);
  const failed = (cell.failed || []).map((seed) => `bench logs ${quoted(`${cell.id}/${seed}`)}`);
  return part(
    "On the command line",
    "Images of patients are never in this file; a figure of cases is drawn where the data are.",
    command(`bench show ${id}`),
    PICTURED.test(column.metric) && cell.mean !== undefined ? command(`bench show ${id} --figures`) : null,
    pretrained ? command(`bench show ${id} --figure curves.svg`) : null,
    failed.map(command),
    command(`bench run --rerun all --only ${id}`),
  );
}

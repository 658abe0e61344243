"use strict";
// Every node of the page is made here, and a string only ever becomes a text node or the value of an attribute: no name
// can turn into markup. The policy of the page asks the browser to hold us to it.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** An element of HTML; functions among its attributes listen to the event of their name. */
function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

let numbered = 0;

/** An id that no other element has. */
function fresh(stem) {
  numbered += 1;
  return `${stem}-${numbered}`;
}

/** A name, set apart from the direction of the text around it. */
function name(text) {
  return h("bdi", {}, text);
}

/** A table of a few columns: heads, and rows of strings or nodes, the first of each its header. */
function listing(caption, heads, rows, kind = "") {
  return h(
    "table",
    { class: `listing ${kind}` },
    h("caption", { class: "unseen" }, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        heads.map((head) => h("th", { scope: "col" }, head)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((cells) =>
        h(
          "tr",
          {},
          cells.map((cell, place) => (place ? h("td", {}, cell) : h("th", { scope: "row" }, cell))),
        ),
      ),
    ),
  );
}

/** A closed part with a heading that opens it. */
function folded(heading, ...content) {
  return h("details", {}, h("summary", {}, heading), ...content);
}

/** A labelled list to choose one of; `options` are [value, text]. */
function chooser(label, options, chosen, changed) {
  const id = fresh("choose");
  const select = h(
    "select",
    { id, change: (event) => changed(event.target.value) },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
  return h("span", { class: "chooser" }, h("label", { for: id }, label), select);
}

/** A text to copy, and the button that does. */
function command(text) {
  return h(
    "div",
    { class: "command" },
    h("code", {}, text),
    h(
      "button",
      { type: "button", class: "quiet", "aria-label": `Copy: ${text}`, click: () => copy(text, "command") },
      "Copy",
    ),
  );
}

/** Put text on the clipboard; where the browser does not allow it, show it to be copied by hand. */
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied: ${what}.`);
  } catch {
    const area = h("textarea", { readonly: true, rows: 12, "aria-label": what });
    area.value = text;
    const close = h("button", { type: "button", click: () => dialog.close() }, "Close");
    const dialog = h(
      "dialog",
      { class: "copying", close: () => dialog.remove() },
      h("p", {}, "The clipboard is closed to this page: copy from here."),
      area,
      close,
    );
    document.body.append(dialog);
    dialog.showModal();
    area.select();
  }
}

const voice = h("div", { class: "voice", role: "status", "aria-live": "polite" });
let fading = 0;

/** Tell what has happened, to eyes and to a screen reader alike. */
function say(text) {
  voice.textContent = text;
  voice.classList.add("said");
  clearTimeout(fading);
  fading = setTimeout(() => voice.classList.remove("said"), 2500);
}

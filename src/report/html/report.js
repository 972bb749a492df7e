"use strict";
// Plots tell the values under a pointer or a cursor key, and tables sort. The page says all of it without this, too.

const SVG = "http://www.w3.org/2000/svg";

/** Makes a plot tell the values of the place that is pointed at, or stepped to. */
function tell(plot) {
  const drawing = plot.querySelector(".drawing");
  const readout = plot.querySelector(".readout");
  const hint = readout.textContent;
  const places = [...drawing.querySelectorAll(".hits rect")].map((rect) => {
    const title = rect.querySelector("title");
    const says = title.textContent;
    // What is read out below needs no tooltip over it.
    title.remove();
    const from = parseFloat(rect.getAttribute("x"));
    const middle = from + parseFloat(rect.getAttribute("width")) / 2;
    const heights = rect.dataset.y ? rect.dataset.y.split(" ") : [];
    return { rect, says, from, middle, heights };
  });
  if (places.length === 0) return;
  readout.hidden = false;

  const here = document.createElementNS(SVG, "g");
  drawing.append(here);
  let current = -1;

  function show(index) {
    current = index;
    here.replaceChildren();
    const place = places[index];
    readout.textContent = place ? place.says : hint;
    readout.classList.toggle("read", Boolean(place));
    if (!place) return;
    const top = place.rect.getAttribute("y");
    const bottom = Number(top) + Number(place.rect.getAttribute("height"));
    here.append(shape("line", { class: "cursor", x1: place.middle + "%", x2: place.middle + "%", y1: top, y2: bottom }));
    for (const y of place.heights) {
      here.append(shape("circle", { class: "dot-here", cx: place.middle + "%", cy: y, r: 3.5 }));
    }
  }

  function at(event) {
    const box = drawing.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 100;
    // The last place that begins to the left of the pointer.
    let [low, high] = [0, places.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (places[middle].from <= x) low = middle;
      else high = middle - 1;
    }
    show(low);
  }

  drawing.addEventListener("pointermove", at);
  drawing.addEventListener("pointerdown", at);
  drawing.addEventListener("pointerleave", (event) => {
    // A finger that lifts leaves what it pointed at to be read.
    if (event.pointerType === "mouse" && document.activeElement !== drawing) show(-1);
  });
  drawing.addEventListener("blur", () => show(-1));
  drawing.addEventListener("keydown", (event) => {
    const last = places.length - 1;
    const steps = { ArrowLeft: current < 0 ? last : current - 1, ArrowRight: current + 1, Home: 0, End: last };
    if (event.key === "Escape") return show(-1);
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(Math.min(Math.max(steps[event.key], 0), last));
  });
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/**
 * What a cell is sorted by: its number where it begins with one, be it behind a sign or a word; its text elsewhere; null
 * where it says nothing.
 */
function key(cell) {
  const text = cell.textContent.trim();
  if (/^(–?$|n\/a\b)/.test(text)) return null;
  if (/^[+−±]?∞/.test(text)) return text.startsWith("−") ? -Infinity : Infinity;
  const number = /^(under |more than )?[[≥≤~±+]?\s*([−-]?)([\d,]*\.?\d+)/.exec(text);
  if (!number) return text;
  const [, word, sign, digits] = number;
  // A little beside the number that is named, which other cells may have.
  const beside = { "under ": 1 - 1e-9, "more than ": 1 + 1e-9 }[word] ?? 1;
  const size = Number(digits.replaceAll(",", "")) * beside;
  return sign ? -size : size;
}

/** Sorts a table by the column of a button: the largest first, and the other way round the next time. */
function sort(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const column = head.cellIndex;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: key(row.cells[column]) }));
  const numbers = rows.every(({ key }) => key === null || typeof key === "number");
  const before = head.getAttribute("aria-sort");
  const first = numbers ? "descending" : "ascending";
  const order = before === "descending" ? "ascending" : before === "ascending" ? "descending" : first;
  const sign = order === "ascending" ? 1 : -1;
  rows.sort((a, b) => {
    // What says nothing stays last, either way.
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    if (numbers) return sign * (a.key === b.key ? 0 : a.key < b.key ? -1 : 1);
    return sign * String(a.key).localeCompare(String(b.key), "en", { numeric: true });
  });
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  body.append(...rows.map(({ row }) => row));
}

for (const plot of document.querySelectorAll(".plot")) tell(plot);
for (const button of document.querySelectorAll("thead button")) button.addEventListener("click", () => sort(button));

// On paper nothing can be opened, so all of it is.
const closed = [];
addEventListener("beforeprint", () => {
  closed.push(...document.querySelectorAll("details:not([open])"));
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of closed.splice(0)) details.open = false;
});

// Keeps a page as the control plane tells it to be: rows of tables come as data, and are shown as text alone.

const QUIET_SECONDS = 10;
const body = document.body;
const state = document.getElementById("state");
const pause = document.getElementById("pause");
let source = null;
let waiting = 0;
let wanted = ""; // the frame that the page is to have
const orders = new WeakMap(); // of tables, keys of rows that may have to move
const drawn = new Map(); // texts in pictures that are cells of tables, too

// --- rows ---

function show(cell, [text, href, number, look], numbers) {
  cell.className = [numbers ? "number" : "", look].filter(Boolean).join(" ");
  if (number === null) delete cell.dataset.number;
  else cell.dataset.number = number;
  let place = cell;
  if (href) {
    place = cell.querySelector("a") ?? cell.appendChild(document.createElement("a"));
    if (place.getAttribute("href") !== href) place.setAttribute("href", href);
    if (place.previousSibling) place.previousSibling.remove();
  }
  if (place.textContent !== text) place.textContent = text;
}

function made(key, cells) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  cells.forEach((_, place) => {
    const cell = row.appendChild(document.createElement(place ? "td" : "th"));
    if (!place) cell.scope = "row";
  });
  return row;
}

function change(table, { rows = [], keys }) {
  const into = table.tBodies[0];
  const numbers = JSON.parse(table.dataset.numbers);
  const known = new Map(Array.from(into.rows, (row) => [row.dataset.key, row]));
  if (keys) {
    const left = new Set(keys);
    for (const [key, row] of known) {
      if (!left.has(key)) row.remove();
    }
    orders.set(table, keys);
  }
  const order = table.dataset.sorted === undefined;
  for (const [key, behind, cells] of rows) {
    let row = known.get(key);
    if (!row) {
      row = made(key, cells);
      known.set(key, row);
      const before = known.get(behind);
      if (behind && before?.isConnected && order) before.after(row);
      else into.prepend(row);
    }
    cells.forEach((cell, place) => {
      show(row.cells[place], cell, numbers[place]);
      const it = drawn.get(`${table.id}/${place}/${key}`);
      if (it) it.textContent = cell[0];
    });
  }
  table.closest("section").querySelector(".empty").hidden = into.rows.length > 0;
  if (!table.matches(":hover, :focus-within")) {
    if (order) arrange(table);
    else sort(table);
  }
  search(table);
}

// Puts rows where the page was last told to have them.
function arrange(table) {
  const into = table.tBodies[0];
  const known = new Map(Array.from(into.rows, (row) => [row.dataset.key, row]));
  const rows = (orders.get(table) ?? []).map((key) => known.get(key)).filter(Boolean);
  if (rows.length < into.rows.length) return; // others have come since, behind those that they belong to
  rows.forEach((row, number) => {
    if (into.rows[number] !== row) into.insertBefore(row, into.rows[number]);
  });
  orders.delete(table);
}

// --- looking for rows, and their order ---

function search(table) {
  const input = document.querySelector(`input[data-table="${CSS.escape(table.id)}"]`);
  if (!input) return;
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  const told = words.length ? `${shown} of ${table.tBodies[0].rows.length}` : "";
  const output = input.closest("p").querySelector("output");
  if (output.textContent !== told) output.textContent = told;
}

function sort(table) {
  if (table.dataset.sorted === undefined) return;
  const [place, way] = table.dataset.sorted.split(" ").map(Number);
  const value = (row) => {
    const cell = row.cells[place];
    return cell.dataset.number === undefined ? null : Number(cell.dataset.number);
  };
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null && b === null) return one.cells[place].textContent.localeCompare(other.cells[place].textContent) * way;
    if (a === null || b === null) return a === null ? 1 : -1;
    return (a - b) * way;
  };
  const rows = Array.from(table.tBodies[0].rows);
  const sorted = rows.toSorted(compare);
  if (sorted.some((row, number) => row !== rows[number])) table.tBodies[0].append(...sorted);
}

function sortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    const button = head.querySelector("button");
    if (!button) continue;
    button.disabled = false;
    button.addEventListener("click", () => {
      const numbers = head.classList.contains("number");
      const now = head.getAttribute("aria-sort");
      const way = now ? (now === "ascending" ? -1 : 1) : numbers ? -1 : 1;
      for (const it of table.tHead.rows[0].cells) it.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      table.dataset.sorted = `${head.cellIndex} ${way}`;
      sort(table);
    });
  }
}

// --- news ---

function tell(text) {
  if (state.textContent !== text) state.textContent = text;
}

async function reframe() {
  // Parts of the page have come or gone: all of it is taken anew, unless somebody is at work in it.
  const main = document.getElementById("main");
  if (main.contains(document.activeElement) && document.activeElement !== main) {
    tell("This page has changed: reload it");
    return;
  }
  const answer = await fetch(location.href, { cache: "no-store" });
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  main.replaceWith(document.adoptNode(found.getElementById("main")));
  body.dataset.frame = found.body.dataset.frame ?? "gone";
  prepare();
  if (source) tell("Live");
}

function heard(event) {
  const news = JSON.parse(event.data);
  for (const [name, it] of Object.entries(news.tables ?? {})) {
    const table = document.getElementById(name);
    if (table) change(table, it);
  }
  for (const [name, { paths, top }] of Object.entries(news.charts ?? {})) {
    const figure = document.getElementById(name);
    figure?.querySelectorAll("path").forEach((path, number) => path.setAttribute("d", paths[number]));
    if (figure) figure.querySelector(".top").textContent = top;
  }
  wanted = news.frame ?? wanted;
  if (wanted && wanted !== body.dataset.frame) reframe();
  else tell("Live");
}

function listen() {
  stop();
  if (document.hidden || pause.getAttribute("aria-pressed") === "true") return;
  source = new EventSource(body.dataset.events);
  source.onmessage = heard;
  source.onerror = () => {
    tell("Not connected; trying again");
    if (source.readyState === EventSource.CLOSED) {
      stop();
      waiting = setTimeout(listen, QUIET_SECONDS * 1000);
    }
  };
}

function stop() {
  clearTimeout(waiting);
  source?.close();
  source = null;
}

// --- buttons ---

async function act(place, button) {
  const output = place.querySelector("output");
  const { application, action } = button.dataset;
  const token = place.querySelector("input").value;
  output.textContent = "Under way";
  try {
    const answer = await fetch(`act?${new URLSearchParams({ application, action })}`, {
      method: "POST",
      headers: { "X-AppNet-Token": token },
    });
    output.textContent = await answer.text();
  } catch {
    output.textContent = "It does not answer";
  }
}

function prepare() {
  drawn.clear();
  for (const place of document.querySelectorAll(".actions")) {
    place.hidden = false;
    for (const button of place.querySelectorAll("button")) button.addEventListener("click", () => act(place, button));
  }
  for (const it of document.querySelectorAll("[data-cell]")) drawn.set(it.dataset.cell, it);
  for (const table of document.querySelectorAll("main table")) sortable(table);
  for (const input of document.querySelectorAll("input[type=search]")) {
    input.closest("p").hidden = false;
    input.addEventListener("input", () => search(document.getElementById(input.dataset.table)));
  }
}

prepare();
if (body.dataset.events) {
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) {
      stop();
      tell("Paused");
    } else listen();
  });
  document.addEventListener("visibilitychange", listen);
  listen();
}

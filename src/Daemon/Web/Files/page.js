// Asks the daemon what there is and shows it. Whatever the daemon says is text here: nothing of it is ever made into markup.

const POLL_LIVE_MS = 500;
const POLL_IDLE_MS = 1500;
const ANSWER_DEADLINE_MS = 10000;
const SAMPLES = 240;
const CARDS_OPEN_AT_FIRST = 4;

// The letters of /api/migrations/ID/map.
const PATHS = [
  { letter: ".", name: "missing" },
  { letter: "u", name: "urgent" },
  { letter: "p", name: "push" },
  { letter: "z", name: "zero" },
  { letter: "m", name: "mixed" },
  { letter: "s", name: "sent" },
];
const WORDS = {
  missing: "missing",
  urgent: "asked for",
  push: "pushed",
  zero: "zeros",
  mixed: "in more than one way",
  sent: "sent",
};
const FINAL = new Set(["completed", "failed", "cancelled"]);

const byId = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

// ---- words for figures

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let rest = value;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit++;
  }

  return `${rest >= 100 || unit === 0 || Number.isInteger(rest) ? Math.round(rest) : rest.toFixed(1)} ${units[unit]}`;
}

function time(milliseconds) {
  if (milliseconds < 1000) {
    return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  }

  const seconds = milliseconds / 1000;
  return seconds < 120 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function microseconds(value) {
  if (value < 1000) {
    return `${Math.round(value)} µs`;
  }

  return value < 1e6 ? `${(value / 1000).toFixed(value < 1e4 ? 1 : 0)} ms` : `${(value / 1e6).toFixed(1)} s`;
}

// ---- the document

function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) {
    element.setAttribute(name, value);
  }
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) {
    element.className = className;
  }

  if (text !== undefined) {
    element.textContent = text;
  }

  return element;
}

function makeSvg(tag) {
  return document.createElementNS("http://www.w3.org/2000/svg", tag);
}

/** Makes the children of a parent these elements, in this order, and leaves alone what is in its place. */
function arrange(parent, elements) {
  elements.forEach((element, index) => {
    if (parent.children[index] !== element) {
      parent.insertBefore(element, parent.children[index] ?? null);
    }
  });
  while (parent.children.length > elements.length) {
    parent.lastElementChild.remove();
  }
}

// ---- guests

/** Rows by name, with what each guest did since this page was opened. */
const guests = new Map();
const sorting = { key: "name", descending: false };

function makeRow(name) {
  const row = document.createElement("tr");
  row.dataset.guest = name;
  const head = make("th", "", name);
  head.scope = "row";
  head.title = name;
  const cells = {};
  row.append(head);
  for (const key of ["state", "kind", "memory", "vcpus", "steps", "speed", "spark", "corrupt", "migration"]) {
    cells[key] = make("td", ["memory", "vcpus", "steps", "speed", "corrupt"].includes(key) ? "number" : "");
    cells[key].dataset.cell = key;
    row.append(cells[key]);
  }

  const state = make("span", "state");
  cells.state.append(state);
  const spark = makeSvg("svg");
  spark.setAttribute("class", "spark");
  spark.setAttribute("viewBox", "0 0 160 24");
  spark.setAttribute("preserveAspectRatio", "none");
  spark.setAttribute("role", "img");
  spark.append(makeSvg("path"));
  cells.spark.append(spark);
  return { row, cells, state, spark, samples: [], last: null, speed: 0 };
}

/** The speed between this answer and the one before, in steps a second. */
function follow(entry, guest, at) {
  const steps = guest.report.steps;
  const last = entry.last;
  entry.last = { steps, at };
  if (!last || steps < last.steps) {
    entry.samples = [];
    entry.speed = 0;
    return;
  }

  if (at > last.at) {
    entry.speed = (steps - last.steps) / ((at - last.at) / 1000);
    entry.samples.push({ at, speed: entry.speed });
    if (entry.samples.length > SAMPLES) {
      entry.samples.shift();
    }
  }
}

function draw(svg, samples, width, height) {
  const path = svg.querySelector("path");
  if (samples.length < 2) {
    setAttribute(path, "d", "");
    setAttribute(svg, "aria-label", "no speed yet");
    return;
  }

  const speeds = samples.map((sample) => sample.speed);
  const top = Math.max(...speeds, 1);
  const first = samples[0].at;
  const span = samples.at(-1).at - first;
  const points = samples.map((sample) => {
    const x = ((sample.at - first) / span) * width;
    const y = height - 1 - (sample.speed / top) * (height - 2);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  setAttribute(path, "d", `M${points.join("L")}`);
  setAttribute(
    svg,
    "aria-label",
    `over ${time(span)}: least ${short.format(Math.min(...speeds))}, most ${short.format(top)}, now ${short.format(speeds.at(-1))} steps/s`,
  );
}

function showGuests(state, at) {
  for (const guest of state.guests) {
    let entry = guests.get(guest.name);
    if (!entry) {
      entry = makeRow(guest.name);
      guests.set(guest.name, entry);
    }

    follow(entry, guest, at);
    entry.guest = guest;
    const { cells } = entry;
    setText(entry.state, guest.state);
    setAttribute(entry.state, "data-state", guest.state);
    setAttribute(entry.state, "title", guest.failure ?? "");
    setText(cells.kind, guest.kind);
    setText(cells.memory, bytes(guest.memoryBytes));
    setText(cells.vcpus, String(guest.vcpus));
    setText(cells.steps, count.format(guest.report.steps));
    setText(cells.speed, guest.state === "running" ? `${short.format(entry.speed)} steps/s` : "–");
    setText(cells.corrupt, count.format(guest.report.corruptPages));
    cells.corrupt.classList.toggle("alarm", guest.report.corruptPages > 0);
    setText(cells.migration, guest.migrationId ?? "");
    draw(entry.spark, entry.samples, 160, 24);
  }

  const known = new Set(state.guests.map((guest) => guest.name));
  for (const name of [...guests.keys()].filter((one) => !known.has(one))) {
    guests.delete(name);
  }

  arrangeGuests();
  byId("guests").hidden = guests.size === 0;
  byId("guests-empty").hidden = guests.size > 0;
}

function sortValue(entry) {
  switch (sorting.key) {
    case "steps":
      return entry.guest.report.steps;
    case "corruptPages":
      return entry.guest.report.corruptPages;
    case "speed":
      return entry.speed;
    default:
      return entry.guest[sorting.key];
  }
}

function compare(one, other) {
  const [a, b] = [sortValue(one), sortValue(other)];
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  const chosen = sorting.descending ? -order : order;
  return chosen || one.guest.name.localeCompare(other.guest.name, "en", { numeric: true });
}

function arrangeGuests() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const shown = [...guests.values()].filter(({ guest }) =>
    [guest.name, guest.kind, guest.state].some((text) => text.toLowerCase().includes(wanted)));
  arrange(byId("guests").tBodies[0], shown.sort(compare).map((entry) => entry.row));
}

// ---- migrations

/** Cards by id and role. */
const cards = new Map();

function makeCard(migration) {
  const card = byId("migration-template").content.firstElementChild.cloneNode(true);
  card.dataset.migration = migration.id;
  card.dataset.role = migration.role;
  const part = (selector) => card.querySelector(selector);
  const entry = {
    card,
    part,
    figures: Object.fromEntries([...card.querySelectorAll("[data-figure]")].map((figure) => [figure.dataset.figure, figure])),
    samples: [],
    map: null,
    mapIsFinal: false,
    asking: false,
    cell: -1,
    columns: 1,
    step: 1,
  };
  part(".speed .chart").append(makeSvg("path"));
  for (const path of PATHS) {
    const item = make("li");
    item.dataset.path = path.name;
    item.append(make("i"), make("span", "", WORDS[path.name]), make("b", "", "0"));
    part(".legend").append(item);
  }

  const canvas = part("canvas");
  canvas.addEventListener("pointermove", (event) => {
    const column = Math.floor(event.offsetX / entry.step);
    pointAt(entry, column < entry.columns ? Math.floor(event.offsetY / entry.step) * entry.columns + column : -1);
  });
  canvas.addEventListener("pointerleave", () => pointAt(entry, -1));
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -entry.columns, ArrowDown: entry.columns }[event.key];
    if (move !== undefined && entry.map) {
      event.preventDefault();
      pointAt(entry, Math.min(Math.max(entry.cell + move, 0), entry.map.pages.length - 1));
    }
  });
  card.addEventListener("toggle", () => showMap(entry));
  return entry;
}

/** Pages and bytes a second over the last two seconds. */
function rates(entry, migration, at) {
  const { samples } = entry;
  samples.push({ at, pages: migration.pagesReceived, bytes: migration.bytesSent });
  while (samples.length > 2 && at - samples[1].at > 2000) {
    samples.shift();
  }

  const seconds = (at - samples[0].at) / 1000;
  return seconds > 0
    ? { pages: (migration.pagesReceived - samples[0].pages) / seconds, bytes: (migration.bytesSent - samples[0].bytes) / seconds }
    : { pages: 0, bytes: 0 };
}

function showMigration(entry, migration, at) {
  const { part, figures } = entry;
  const isFinal = FINAL.has(migration.state);
  entry.migration = migration;
  const share = migration.pagesTotal > 0 ? migration.pagesReceived / migration.pagesTotal : 0;
  // Rounded down: all of them is a hundred, and nothing else is.
  const percent = Math.floor(share * 1000) / 10;
  setText(part(".guest"), migration.guest);
  setText(part(".route"), migration.role === "source" ? `from here to ${migration.peer}` : `from ${migration.peer} to here`);
  setText(part(".state"), migration.state);
  setAttribute(part(".state"), "data-state", migration.state);
  setText(part(".percent"), `${percent.toFixed(1)} %`);
  setText(part(".id"), migration.id);
  setText(part(".reason"), migration.reason ?? "");
  part(".reason").hidden = !migration.reason;

  setAttribute(part(".bar"), "aria-valuenow", String(Math.floor(percent)));
  for (const [path, pages] of [["urgent", migration.pagesUrgent], ["push", migration.pagesPush], ["zero", migration.pagesZero]]) {
    part(`.fill.${path}`).style.width = `${migration.pagesTotal > 0 ? (100 * pages) / migration.pagesTotal : 0}%`;
  }

  const rate = isFinal ? { pages: 0, bytes: 0 } : rates(entry, migration, at);
  const left = migration.pagesTotal - migration.pagesReceived;
  setText(figures.pages, `${count.format(migration.pagesReceived)} of ${count.format(migration.pagesTotal)}`);
  setText(figures.urgent, count.format(migration.pagesUrgent));
  setText(figures.push, count.format(migration.pagesPush));
  setText(figures.zero, count.format(migration.pagesZero));
  setText(figures.redundant, count.format(migration.pagesRedundant));
  setText(figures.bytes, bytes(migration.bytesSent));
  setText(figures.rate, isFinal ? "–" : `${bytes(rate.bytes)}/s, ${short.format(rate.pages)} pages/s`);
  setText(figures.left, isFinal || left === 0 ? "–" : rate.pages > 0 ? `about ${time((1000 * left) / rate.pages)}` : "not known");
  setText(figures.total, time(migration.totalMs));
  setText(figures.downtime, migration.downtimeMs > 0 ? time(migration.downtimeMs) : "–");
  setText(figures.recoveries, count.format(migration.recoveries));
  showLatency(entry, migration);
  showSpeed(entry, migration);
}

function showLatency(entry, migration) {
  const { part } = entry;
  const latency = migration.faultLatencyUs;
  const buckets = migration.faultLatencyBuckets;
  part(".latency .empty").hidden = latency.count > 0;
  setText(
    part(".percentiles"),
    latency.count > 0
      ? `${count.format(latency.count)} faults, p50 ${microseconds(latency.p50)}, p99 ${microseconds(latency.p99)}, `
        + `max ${microseconds(latency.max)}`
      : "",
  );
  const list = part(".histogram");
  const first = buckets.findIndex((inBucket) => inBucket > 0);
  const most = Math.max(...buckets, 1);
  const rows = (first < 0 ? [] : buckets.slice(first)).map((inBucket, index) => {
    const row = list.children[index] ?? make("li");
    if (!row.firstChild) {
      const bar = make("span");
      bar.append(make("span", "bucket"));
      row.append(make("span", "range"), bar, make("span", "count"));
    }

    const power = first + index;
    const from = power === 0 ? 0 : 2 ** power;
    setText(row.children[0], `${microseconds(from)} to ${microseconds(2 ** (power + 1))}`);
    row.children[1].firstChild.style.width = `${(100 * inBucket) / most}%`;
    row.children[1].firstChild.hidden = inBucket === 0;
    setText(row.children[2], count.format(inBucket));
    return row;
  });
  arrange(list, rows);
}

function showSpeed(entry, migration) {
  const { part } = entry;
  const here = guests.get(migration.guest);
  const shown = here && here.samples.length > 1 && !FINAL.has(migration.state);
  part(".speed").hidden = !shown;
  if (shown) {
    setText(part(".speed .now"), `${short.format(here.speed)} steps/s`);
    draw(part(".speed .chart"), here.samples, 600, 120);
  }
}

function showMigrations(state, at) {
  const shown = state.migrations.map((migration, index) => {
    const key = `${migration.id}/${migration.role}`;
    let entry = cards.get(key);
    if (!entry) {
      entry = makeCard(migration);
      entry.card.open = index === 0 || (!FINAL.has(migration.state) && cards.size < CARDS_OPEN_AT_FIRST);
      cards.set(key, entry);
    }

    showMigration(entry, migration, at);
    return entry;
  });
  arrange(byId("migrations"), shown.map((entry) => entry.card));
  const left = new Set(shown);
  for (const [key, entry] of cards) {
    if (!left.has(entry)) {
      cards.delete(key);
    }
  }

  byId("migrations-empty").hidden = shown.length > 0;
  setText(
    byId("migrations-hint"),
    state.migrationsKnown > shown.length
      ? `Newest first; ${count.format(state.migrationsKnown - shown.length)} older ones are not shown.`
      : "Newest first.",
  );
  shown.forEach((entry) => showMap(entry));
}

// ---- the map of a guest's memory

/** Asks for the map while somebody can see it, and once more at the end. */
async function showMap(entry) {
  if (!entry.card.open || entry.asking || entry.mapIsFinal) {
    return;
  }

  entry.asking = true;
  const wasFinal = FINAL.has(entry.migration.state);
  try {
    entry.map = await ask(`/api/migrations/${encodeURIComponent(entry.migration.id)}/map`);
    entry.mapIsFinal = wasFinal;
    drawMap(entry);
  } catch {
    // There is none, or the daemon is away: the state says which, and the next answer brings the next attempt.
    entry.mapIsFinal = wasFinal;
  } finally {
    entry.asking = false;
  }
}

function cellSize(blocks) {
  return blocks <= 1024 ? 14 : blocks <= 4096 ? 10 : blocks <= 16384 ? 7 : 5;
}

function drawMap(entry) {
  const { part, map } = entry;
  const blocks = map.pages.length;
  part(".map").hidden = blocks === 0;
  if (blocks === 0) {
    return;
  }

  const canvas = part("canvas");
  const size = cellSize(blocks);
  const step = size + (size > 7 ? 2 : 1);
  const room = Math.max(part(".map-scroll").clientWidth - 18, 8 * step);
  const columns = Math.max(8, Math.floor(room / step / 8) * 8);
  const rows = Math.ceil(blocks / columns);
  const scale = Math.max(1, Math.round(window.devicePixelRatio || 1));
  entry.columns = columns;
  entry.step = step;
  const [width, height] = [columns * step, rows * step];
  if (canvas.width !== width * scale || canvas.height !== height * scale) {
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }

  setAttribute(canvas, "data-columns", String(columns));
  setAttribute(canvas, "data-step", String(step));
  setAttribute(canvas, "data-cell", String(size));
  setAttribute(canvas, "data-pages", String(map.pages.reduce((sum, pages) => sum + pages, 0)));
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(PATHS.map((path) => [path.letter, style.getPropertyValue(`--${path.name}`).trim()]));
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const tally = Object.fromEntries(PATHS.map((path) => [path.letter, 0]));
  for (let block = 0; block < blocks; block++) {
    const letter = map.pages[block] === 0 ? "." : map.paths[block];
    tally[letter]++;
    const x = (block % columns) * step;
    const y = Math.floor(block / columns) * step;
    context.fillStyle = colours["."];
    context.fillRect(x, y, size, size);
    if (letter !== ".") {
      // Fills up from below; a cell with anything in it shows at least a line.
      const filled = Math.max(1, Math.round((size * map.pages[block]) / map.pagesPerBlock));
      context.fillStyle = colours[letter];
      context.fillRect(x, y + size - filled, size, filled);
    }
  }

  if (entry.cell >= 0) {
    context.strokeStyle = style.getPropertyValue("--ink").trim();
    context.strokeRect((entry.cell % columns) * step + 0.5, Math.floor(entry.cell / columns) * step + 0.5, size - 1, size - 1);
  }

  const words = [];
  for (const path of PATHS) {
    const item = part(`.legend [data-path="${path.name}"]`);
    const cells = tally[path.letter];
    item.dataset.count = String(cells);
    item.hidden = cells === 0 && (path.name === "sent") !== (map.role === "source");
    setText(item.lastChild, count.format(cells));
    if (cells > 0) {
      words.push(`${count.format(cells)} ${WORDS[path.name]}`);
    }
  }

  setAttribute(canvas, "aria-label", `RAM of ${map.guest}, ${count.format(blocks)} blocks of 2 MiB: ${words.join(", ")}`);
  say(entry);
}

function pointAt(entry, cell) {
  entry.cell = entry.map && cell < entry.map.pages.length ? cell : -1;
  if (entry.map) {
    drawMap(entry);
  }
}

function say(entry) {
  const { map, cell } = entry;
  if (cell < 0) {
    setText(entry.part(".cell"), "Point at a cell, or focus the map and use the arrow keys.");
    return;
  }

  const pages = map.pages[cell];
  const path = PATHS.find((one) => one.letter === map.paths[cell]);
  setText(
    entry.part(".cell"),
    `block ${count.format(cell)} at ${bytes(cell * map.blockBytes)}: ${pages} of ${map.pagesPerBlock} pages`
      + (pages > 0 ? `, ${WORDS[path.name]}` : ""),
  );
}

// ---- talking to the daemon

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
  if (!answer.ok) {
    throw new Error(`${path}: ${answer.status}`);
  }

  return answer.json();
}

function show(state) {
  const at = Date.parse(state.at);
  document.title = `${state.node.name} · migrationd`;
  setText(byId("node-name"), state.node.name);
  // Behind the plus is which build it is: for who asks.
  setText(byId("node-version"), state.node.version.split("+")[0]);
  setAttribute(byId("node-version"), "title", state.node.version);
  setText(byId("node-listen"), state.node.listen);
  setText(byId("node-lanes"), state.node.lanes);

  const here = state.guests.filter((guest) => guest.state !== "migrated");
  const live = state.migrations.filter((migration) => !FINAL.has(migration.state));
  const corrupt = state.guests.reduce((sum, guest) => sum + guest.report.corruptPages, 0);
  const lost = state.migrations.reduce((sum, migration) => sum + migration.pagesLost, 0);
  setText(byId("sum-running"), count.format(here.filter((guest) => guest.state === "running").length));
  setText(byId("sum-guests"), count.format(state.guests.length));
  setText(byId("sum-memory"), bytes(here.reduce((sum, guest) => sum + guest.memoryBytes, 0)));
  setText(byId("sum-live"), count.format(live.length));
  setText(byId("sum-corrupt"), count.format(corrupt));
  byId("sum-corrupt").classList.toggle("alarm", corrupt > 0);
  setText(byId("sum-lost"), count.format(lost));
  byId("sum-lost").classList.toggle("alarm", lost > 0);

  showGuests(state, at);
  showMigrations(state, at);
  return live.length > 0;
}

async function run() {
  const link = byId("link");
  let answered = null;
  for (;;) {
    let live = false;
    // A page that nobody sees asks for nothing.
    if (!document.hidden) {
      try {
        live = show(await ask("/api/state"));
        answered = new Date();
        setText(link, "up to date");
        link.classList.remove("lost");
      } catch (error) {
        setText(link, answered ? `no answer since ${answered.toLocaleTimeString("en-GB")}; asking again` : "no answer; asking again");
        link.classList.add("lost");
      }
    }

    await new Promise((resolve) => setTimeout(resolve, live ? POLL_LIVE_MS : POLL_IDLE_MS));
  }
}

byId("filter").addEventListener("input", arrangeGuests);
for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    sorting.descending = sorting.key === button.dataset.sort ? !sorting.descending : false;
    sorting.key = button.dataset.sort;
    for (const head of document.querySelectorAll("thead th")) {
      head.removeAttribute("aria-sort");
    }

    button.closest("th").setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
    arrangeGuests();
  });
}

const redraw = () => cards.forEach((entry) => entry.map && entry.card.open && drawMap(entry));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
window.addEventListener("resize", redraw);
run();

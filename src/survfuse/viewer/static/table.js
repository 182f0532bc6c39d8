// The page with the table of patients.

import { byId, choice, field, make, shown } from "./dom.js";
import { chosenRows, readState, writeState } from "./table_rows.js";

const ROWS = 50;
let study = null;
let waiting = 0;
let state = readState(new URLSearchParams(location.search));

async function openTable() {
  const answer = await fetch("/api/study");
  study = await answer.json();
  byId("title").textContent = `Patients of ${study.cohort}`;
  const what = study.kind === "run" ? "predicted out of fold by the run" : "predicted by the model";
  byId("about").textContent = `${study.patients.toLocaleString("en")} patients, ${what} in folder “${study.source}”`;
  document.title = `Patients of ${study.cohort} – survfuse viewer`;
  byId("notes").append(...study.notes.map((text) => make("li", {}, text)));
  byId("remarks").hidden = study.notes.length === 0;
  buildFilters();
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("before").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  draw();
}

function buildFilters() {
  const fields = byId("fields");
  const search = make("input", { type: "search", value: state.search, autocomplete: "off" });
  search.addEventListener("input", () => change(() => (state.search = search.value)));
  fields.append(field("search", "Patient", search));
  study.columns.forEach((column, place) => {
    if (column.choices.length) {
      const options = [["", "all"], ...column.choices.map((text) => [text, text])];
      const select = choice(options, state.choices[column.key] || "");
      select.addEventListener("change", () => change(() => (state.choices[column.key] = select.value)));
      fields.append(field(`filter-${place}`, column.title, select));
    } else if (column.range) {
      fields.append(rangeOf(column, place));
    }
  });
  fields.append(make("button", { type: "button", onclick: clear }, "Show all"));
}

/** Least and most of a column of numbers. */
function rangeOf(column, place) {
  const unit = column.kind === "percent" ? ", %" : "";
  const box = make("fieldset", { class: "field" }, make("legend", {}, `${column.title}${unit}`));
  for (const [kind, text] of [["least", "at least"], ["most", "at most"]]) {
    const input = make("input", {
      type: "number", step: "any", id: `${kind}-${place}`, placeholder: text,
      "aria-label": `${column.title}${unit} ${text}`, value: state[kind][column.key] ?? "",
    });
    input.addEventListener("input", () => change(() => (state[kind][column.key] = input.value)));
    box.append(input, " ");
  }
  return box;
}

function clear() {
  state = { ...readState([]), sort: state.sort, down: state.down };
  byId("fields").replaceChildren();
  buildFilters();
  draw();
  byId("search").focus();
}

function change(set) {
  set();
  state.page = 0;
  draw();
}

function turn(step) {
  state.page += step;
  draw();
  byId("patients").focus({ preventScroll: true });
}

function draw() {
  const started = performance.now();
  const rows = chosenRows(study, state);
  const last = Math.max(0, Math.ceil(rows.length / ROWS) - 1);
  state.page = Math.min(state.page, last);
  const visible = rows.slice(state.page * ROWS, (state.page + 1) * ROWS);
  const table = make("table", { "aria-rowcount": rows.length + 1 }, head(), make("tbody", {}, ...visible.map((row, place) => rowOf(row, state.page * ROWS + place + 2))));
  const focused = document.activeElement?.dataset?.sort;
  byId("patients").replaceChildren(table);
  if (focused) table.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
  byId("count").textContent = `${rows.length.toLocaleString("en")} of ${study.patients.toLocaleString("en")} patients`;
  byId("place").textContent = `Page ${state.page + 1} of ${last + 1}`;
  byId("before").disabled = state.page === 0;
  byId("next").disabled = state.page === last;
  clearTimeout(waiting);
  waiting = setTimeout(writeAddress, 150); // browsers refuse many changes in a second
  document.documentElement.dataset.drawn = (performance.now() - started).toFixed(1);
}

function writeAddress() {
  const parameters = writeState(state).toString();
  history.replaceState(null, "", parameters ? `?${parameters}` : location.pathname);
}

function head() {
  const cells = study.columns.map((column) => {
    const sorted = state.sort === column.key;
    const order = sorted ? (state.down ? "descending" : "ascending") : "none";
    const button = make("button", { type: "button", "data-sort": column.key, title: column.says || null }, column.title);
    button.addEventListener("click", () => change(() => sortBy(column, sorted)));
    return make("th", { scope: "col", "aria-sort": order, class: align(column) }, button);
  });
  return make("thead", {}, make("tr", {}, ...cells));
}

function sortBy(column, sorted) {
  state.down = sorted ? !state.down : column.kind !== "text";
  state.sort = column.key;
}

function rowOf(row, index) {
  const cells = study.columns.map((column, place) => {
    const value = study.values[place][row];
    if (place > 0) return make("td", { class: align(column) }, shown(value, column.kind));
    const link = make("a", { href: `/patient?${new URLSearchParams({ patient: value })}` }, value);
    return make("th", { scope: "row" }, link);
  });
  return make("tr", { "aria-rowindex": index }, ...cells);
}

function align(column) {
  return column.kind === "text" ? null : "r";
}

openTable().catch((error) => {
  byId("count").textContent = `The table cannot be read: ${error.message}`;
});

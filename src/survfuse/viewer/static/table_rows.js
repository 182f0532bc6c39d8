// Filtering and sorting of the rows of the table.

/** A state of the table from the parameters of an address. */
export function readState(parameters) {
  const state = { sort: "", down: false, page: 0, search: "", choices: {}, least: {}, most: {} };
  for (const [name, value] of parameters) {
    const [kind, key] = name.includes(":") ? [name.slice(0, name.indexOf(":")), name.slice(name.indexOf(":") + 1)] : [name, ""];
    if (kind === "sort") {
      state.down = value.startsWith("-");
      state.sort = value.replace(/^-/, "");
    } else if (kind === "page") {
      state.page = Math.max(0, Number.parseInt(value, 10) - 1 || 0);
    } else if (kind === "search") {
      state.search = value;
    } else if (kind === "is") {
      state.choices[key] = value;
    } else if (kind === "least" || kind === "most") {
      state[kind][key] = value;
    }
  }
  return state;
}

/** The same as parameters of an address. */
export function writeState(state) {
  const parameters = new URLSearchParams();
  if (state.search) parameters.set("search", state.search);
  if (state.sort) parameters.set("sort", (state.down ? "-" : "") + state.sort);
  for (const [key, value] of Object.entries(state.choices)) if (value) parameters.set(`is:${key}`, value);
  for (const kind of ["least", "most"]) {
    for (const [key, value] of Object.entries(state[kind])) if (value !== "") parameters.set(`${kind}:${key}`, value);
  }
  if (state.page) parameters.set("page", state.page + 1);
  return parameters;
}

/** Numbers of the rows that are shown, in order. */
export function chosenRows(study, state) {
  const tests = [];
  study.columns.forEach((column, place) => {
    const values = study.values[place];
    const wanted = state.choices[column.key];
    if (wanted) tests.push((row) => values[row] === wanted);
    const scale = column.kind === "percent" ? 100 : 1;
    const least = Number.parseFloat(state.least[column.key]);
    const most = Number.parseFloat(state.most[column.key]);
    if (!Number.isNaN(least)) tests.push((row) => values[row] !== null && values[row] * scale >= least);
    if (!Number.isNaN(most)) tests.push((row) => values[row] !== null && values[row] * scale <= most);
  });
  const search = state.search.trim().toLowerCase();
  const ids = study.values[0];
  if (search) tests.push((row) => ids[row].toLowerCase().includes(search));
  const rows = [];
  for (let row = 0; row < ids.length; row += 1) {
    if (tests.every((test) => test(row))) rows.push(row);
  }
  const place = study.columns.findIndex((column) => column.key === state.sort);
  if (place >= 0) sortRows(rows, study.values[place], study.columns[place].kind, state.down);
  return rows;
}

/** Sort rows by a column; what is not known comes last. */
function sortRows(rows, values, kind, down) {
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const compare = kind === "text" ? order : (a, b) => a - b;
  rows.sort((one, other) => {
    const [a, b] = [values[one], values[other]];
    if (a === null || b === null) return (a === null) - (b === null);
    return down ? compare(b, a) : compare(a, b);
  });
}

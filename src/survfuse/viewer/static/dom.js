// Small helpers: elements, numbers as text.

export function byId(id) {
  return document.getElementById(id);
}

/** Make an element; text is never read as HTML. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value);
    }
  }
  node.append(...children);
  return node;
}

export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) {
    return value === 0 || Math.abs(value) < 1e-12 ? "0" : `${value > 0 ? "+" : "−"}${Math.abs(value).toExponential(1).replace("-", "−")}`;
  }
  return `${value > 0 ? "+" : "−"}${text}`;
}

export function shown(value, kind) {
  if (value === null || value === undefined) {
    return "–";
  }
  if (kind === "percent") {
    return `${(100 * value).toFixed(1)} %`;
  }
  if (kind === "number") {
    const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(1, Math.abs(value)))));
    return value.toFixed(digits).replace("-", "−");
  }
  return String(value);
}

/** A field of a form: a label above its control, and what its value means. */
export function field(id, label, control, output = null) {
  control.id = id;
  const line = make("div", { class: "line" }, make("label", { for: id }, label));
  if (output) {
    output.setAttribute("for", id);
    line.append(output);
  }
  return make("div", { class: "field" }, line, control);
}

/** A choice; options are [value, text]. */
export function choice(options, value) {
  const select = make("select");
  for (const [key, text] of options) {
    select.append(make("option", { value: key }, text));
  }
  if (options.some(([key]) => key === value)) {
    select.value = value;
  }
  return select;
}

// The top and the end of a patient's page: facts, terms of the log-risk.

import { byId, make, shown, signed } from "./dom.js";

const NOTHING = 1e-12; // log-risk: what rounding leaves of a term that is 0

export function fillFacts(about) {
  byId("title").textContent = `Patient ${about.patient}`;
  for (const fact of about.facts) {
    byId("facts").append(make("div", { title: fact.says || null }, make("dt", {}, fact.title), make("dd", {}, shown(fact.value, fact.kind))));
  }
  byId("notes").append(...about.notes.map((text) => make("li", {}, text)));
  byId("remarks").hidden = !about.notes.length;
}

export function fillTerms(terms) {
  const box = byId("terms");
  if (terms.why) {
    box.append(make("p", { class: "why" }, terms.why));
    return;
  }
  const rows = terms.rows.map((row) => {
    const nothing = Math.abs(row.value) < NOTHING;
    const sign = nothing ? "changes nothing" : row.value > 0 ? "raises the risk" : "lowers the risk";
    const kind = row.grey || nothing ? null : row.value > 0 ? "raises" : "lowers";
    return make("tr", { class: row.grey ? "grey" : null },
      make("th", { scope: "row" }, row.name),
      make("td", { class: "r" }, make("span", { class: kind }, signed(row.value))),
      make("td", {}, sign), make("td", {}, row.says));
  });
  const whole = (name, value) => make("tr", { class: "whole" },
    make("th", { scope: "row" }, name), make("td", { class: "r" }, Math.abs(value) < 0.005 ? "0.00" : signed(value)), make("td"), make("td"));
  rows.unshift(whole("Training patients on average", terms.constant));
  rows.push(whole("This patient", terms.total));
  const heads = ["Term", "Log-risk", "Direction", "Remark"];
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col", class: text === "Log-risk" ? "r" : null }, text)));
  box.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Terms of the log-risk" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
  const left = (terms.excluded || []).map((one) => make("li", {}, `${one.term}: ${one.reason}`));
  if (left.length) box.append(make("ul", { class: "notes note" }, ...left));
}

// What is known of a tile: its scores, and the tiles that look like it.

import { byId, make, signed } from "./dom.js";
import { valueOf } from "./values.js";

export function emptyPanel(text) {
  byId("panel").replaceChildren(make("p", { class: "note" }, text));
}

/** Show a tile; values are [score, value]; returns the box for the neighbours. */
export function fillPanel(tile, place, values) {
  const list = make("dl");
  list.append(make("dt", {}, "Number"), make("dd", {}, String(tile)));
  list.append(make("dt", {}, place.unit), make("dd", {}, place.text));
  for (const [score, value] of values) {
    list.append(make("dt", {}, score.title), make("dd", {}, valueOf(score, value)));
  }
  const box = make("div");
  byId("panel").replaceChildren(list, box);
  return box;
}

/** Show the neighbours of a tile. */
export function fillNeighbours(box, found, pictureOf, chosen) {
  box.replaceChildren(make("h3", {}, "Most alike in its cluster"));
  if (found.why) {
    box.append(make("p", { class: "note" }, found.why));
    return;
  }
  const says = `Cluster ${found.cluster}: ${found.of} ${found.of === 1 ? "tile" : "tiles"} of this patient; nearest first by the encoder's features.`;
  box.append(make("p", { class: "note" }, says));
  const list = make("ul", { class: "tiles" });
  for (const one of found.tiles) {
    const picture = pictureOf(one);
    const button = make("button", { type: "button", onclick: () => chosen(one) });
    if (picture) button.append(make("img", { src: picture, alt: "" }));
    button.append(`tile ${one.tile}`);
    list.append(make("li", {}, button));
  }
  box.append(list);
}

/** The table of the tiles with the highest and the lowest contributions. */
export function fillListed(record, pictureOf, chosen) {
  const tiles = record.listed;
  if (!tiles.length) {
    byId("listed").replaceChildren(make("p", { class: "note" }, "No tile has a score."));
    return;
  }
  const known = ["contribution", "risk", "share", "cluster"].filter((name) => tiles[0][name] !== undefined && tiles[0][name] !== null);
  const titles = { contribution: `${record.listed_by}, log-risk`, risk: "Tile risk, log-risk", share: "Share of the bag", cluster: "Cluster" };
  const texts = {
    contribution: (value) => signed(value, 3),
    risk: (value) => signed(value, 3),
    share: (value) => `${(100 * value).toFixed(2)} %`,
    cluster: String,
  };
  const heads = ["Tile", ...(pictureOf(tiles[0]) ? ["Picture"] : []), ...known.map((name) => titles[name]), "x, y (px)"];
  const rows = tiles.map((one) => {
    const show = make("button", { type: "button", onclick: () => chosen(one) }, `Show tile ${one.tile}`);
    const row = make("tr", { "data-tile": one.tile }, make("th", { scope: "row" }, show));
    const picture = pictureOf(one);
    if (picture) row.append(make("td", {}, make("img", { src: picture, alt: "", loading: "lazy" })));
    row.append(...known.map((name) => make("td", { class: "r" }, texts[name](one[name]))));
    row.append(make("td", { class: "r" }, `${Math.round(one.x)}, ${Math.round(one.y)}`));
    return row;
  });
  const head = make("tr", {}, ...heads.map((text, place) => make("th", { scope: "col", class: place > 0 && text !== "Picture" ? "r" : null }, text)));
  byId("listed").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

/** Mark the row of a tile. */
export function markListed(tile) {
  for (const row of byId("listed").querySelectorAll("tr[data-tile]")) {
    row.classList.toggle("chosen", row.dataset.tile === String(tile));
  }
}

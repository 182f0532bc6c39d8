// What the colours of a map mean.

import { make } from "./dom.js";
import { paintLegend } from "./score_image.js";
import { valueOf } from "./values.js";

/** Fill the legend of a map; look as for painting it. */
export function fillLegend(legend, score, look) {
  if (score.kind === "categories") nameClusters(legend, look.clusters);
  else nameEnds(legend, score, look.stops);
  const grey = score.grey ? "grey because it does not reproduce" : "";
  const says = [grey, score.says].filter(Boolean).join("; ");
  if (says) legend.append(make("p", { class: "says" }, says));
}

/** Lowest and highest value, with sign and words: colour is not the only sign. */
function nameEnds(legend, score, stops) {
  const canvas = make("canvas", { "aria-hidden": "true" });
  paintLegend(canvas, stops);
  const low = score.kind === "diverging" ? score.centre - score.limit : 0;
  const high = score.centre + score.limit;
  const [below, above] = [low, high].map((value, place) => `${valueOf(score, value)} ${score.directions[place]}`.trim());
  legend.append(make("span", {}, below), canvas, make("span", {}, above));
}

function nameClusters(legend, colours) {
  for (const [number, rgb] of colours) {
    const patch = make("span", { class: "patch", "aria-hidden": "true" });
    patch.style.backgroundColor = `rgb(${rgb.join(" ")})`;
    legend.append(make("span", {}, patch, `cluster ${number}`));
  }
}

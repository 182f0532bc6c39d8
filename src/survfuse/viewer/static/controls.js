// The controls of the map: slide, scores, palette, opacity, threshold, cluster.

import { byId, choice, field, make, signed } from "./dom.js";
import { slideKey } from "./look.js";

/** Build the controls; changed(name) is called with what was changed in the look. */
export function buildControls(state, changed) {
  const { look, slides, record, palettes } = state;
  const box = byId("controls");
  const focused = document.activeElement && box.contains(document.activeElement) ? document.activeElement.id : "";
  box.replaceChildren();
  const add = (name, label, options) => {
    const select = choice(options, look[name]);
    select.addEventListener("change", () => changed(name, select.value));
    box.append(field(`control-${name}`, label, select));
    return select;
  };
  if (slides.length > 1) {
    add("slide", "Slide", slides.map((slide) => [slideKey(slide), slide.slide]));
  }
  const scores = record.map ? record.map.scores : [];
  if (scores.length) {
    const options = scores.map((score) => [score.name, score.title]);
    add("score", "Map", [...options, ["none", "no map"]]);
    add("beside", "Beside it", [["", "nothing"], ...options, ["none", "no map"]]);
    const score = scores.find((one) => one.name === look.score);
    addLook(box, state, score, add, changed);
  }
  if (focused) byId(focused)?.focus();
}

function addLook(box, state, score, add, changed) {
  const { look, palettes } = state;
  const slider = (name, label, says) => {
    const input = make("input", { type: "range", min: 0, max: 100, step: 1, value: look[name] });
    const output = make("output", {}, says(look[name]));
    input.addEventListener("input", () => {
      output.textContent = says(Number(input.value));
      changed(name, Number(input.value));
    });
    box.append(field(`control-${name}`, label, input, output));
  };
  slider("opacity", "Opacity", (value) => `${value} %`);
  if (!score) return;
  if (score.kind === "categories") {
    const numbers = state.clusters.map((number) => [String(number), `cluster ${number}`]);
    add("cluster", "Clusters shown", [["", "all"], ...numbers]);
    return;
  }
  const palette = add("palette", "Colours", Object.keys(palettes[score.kind]).map((name) => [name, name]));
  if (score.grey) {
    palette.replaceChildren(make("option", {}, "grey: does not reproduce"));
    palette.disabled = true;
  }
  slider("threshold", "Hide weak tiles", (value) => thresholdSays(score, value));
}

function thresholdSays(score, value) {
  if (value === 0) return "all shown";
  const limit = (score.limit * value) / 100;
  const text = signed(limit, 3).slice(1);
  return score.kind === "diverging" && score.centre === 0 ? `below ±${text}` : `within ${text} of ${score.centre}`;
}

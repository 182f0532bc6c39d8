// A score as an image of one pixel a tile, coloured here.

const STEPS = 511;

/** Colours from a score's lowest to its highest value, (STEPS + 1) * 3 bytes. */
export function ramp(stops) {
  const colours = new Uint8ClampedArray((STEPS + 1) * 3);
  for (let step = 0; step <= STEPS; step += 1) {
    const place = (step / STEPS) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    for (let channel = 0; channel < 3; channel += 1) {
      const [from, to] = [stops[low][channel], stops[low + 1][channel]];
      colours[step * 3 + channel] = Math.round(from + (place - low) * (to - from));
    }
  }
  return colours;
}

/** Stops of the palette of a score: grey where it does not reproduce, whatever was chosen. */
export function stopsOf(palettes, score, palette) {
  if (score.grey && score.kind !== "categories") return palettes.grey[score.kind];
  const offered = palettes[score.kind];
  return offered[palette] || Object.values(offered)[0];
}

/** How strong a value is, 0 to 1: what the threshold is compared with. */
export function strength(value, score) {
  return Math.min(1, Math.abs(value - score.centre) / score.limit);
}

/** Which colour each cluster has: that of its number, or the next free one where two would share it. */
export function clusterColours(numbers, stops) {
  const taken = new Set();
  const colours = new Map();
  for (const number of numbers) {
    let place = number % stops.length;
    for (let tries = 0; taken.has(place) && tries < stops.length; tries += 1) place = (place + 1) % stops.length;
    taken.add(place);
    colours.set(number, stops[place]);
  }
  return colours;
}

/** Paint a score; look has stops, clusters (colours), threshold (0 to 1) and cluster (null: all). */
export function paintScore(values, rows, columns, score, look) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const colours = score.kind === "categories" ? null : ramp(look.stops);
  for (let place = 0; place < values.length; place += 1) {
    const value = values[place];
    if (Number.isNaN(value)) continue;
    let rgb = null;
    if (colours === null) {
      if (look.cluster !== null && value !== look.cluster) continue;
      rgb = look.clusters.get(value);
    } else {
      if (strength(value, score) < look.threshold) continue;
      const share = (value - score.centre) / score.limit;
      const whole = score.kind === "diverging" ? (share + 1) / 2 : share;
      const step = Math.round(Math.min(1, Math.max(0, whole)) * STEPS) * 3;
      rgb = [colours[step], colours[step + 1], colours[step + 2]];
    }
    image.data.set([rgb[0], rgb[1], rgb[2], 255], place * 4);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Draw the colours of a score from lowest to highest. */
export function paintLegend(canvas, stops) {
  canvas.width = STEPS + 1;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const image = context.createImageData(STEPS + 1, 1);
  const colours = ramp(stops);
  for (let step = 0; step <= STEPS; step += 1) {
    image.data.set([colours[step * 3], colours[step * 3 + 1], colours[step * 3 + 2], 255], step * 4);
  }
  context.putImageData(image, 0, 0);
}

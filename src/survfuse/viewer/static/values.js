// Values of scores as text.

import { signed } from "./dom.js";

export function valueOf(score, value) {
  if (score.kind === "categories") return String(value);
  if (score.unit === "log-risk") return signed(value, 3);
  if (score.unit === "percentile") return value.toFixed(0);
  return `${(100 * value).toFixed(2)} %`;
}

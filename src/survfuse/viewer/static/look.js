// How a map is shown: read from the address, changed by the controls, written to the address.

const DEFAULTS = { slide: "", score: "", beside: "", palette: "", opacity: 60, threshold: 0, cluster: "", tile: "" };

export function readLook() {
  const look = { ...DEFAULTS };
  const given = new URLSearchParams(location.hash.replace(/^#/, ""));
  for (const name of Object.keys(DEFAULTS)) {
    if (!given.has(name)) continue;
    const text = given.get(name);
    if (typeof DEFAULTS[name] === "number") {
      const number = Number.parseFloat(text);
      if (!Number.isNaN(number)) look[name] = Math.min(100, Math.max(0, number));
    } else {
      look[name] = text;
    }
  }
  return look;
}

let waiting = 0;

/** Write it to the address, soon: browsers refuse many changes in a second. */
export function writeLook(look) {
  clearTimeout(waiting);
  waiting = setTimeout(() => writeNow(look), 150);
}

function writeNow(look) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(look)) {
    if (value !== DEFAULTS[name]) parameters.set(name, value);
  }
  const text = parameters.toString();
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    // a browser may refuse to change the address of a file
  }
}

/** The name of a slide in the address and in the choice of slides. */
export function slideKey(slide) {
  return `${slide.modality}/${slide.slide}`;
}

// Where a patient's data come from: the server of the viewer.

async function fetched(path, parameters) {
  const answer = await fetch(`${path}?${new URLSearchParams(parameters)}`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

export class ServerSource {
  constructor(patient) {
    this.patient = patient;
  }

  of(slide, more = {}) {
    return { patient: this.patient, modality: slide.modality, slide: slide.slide, ...more };
  }

  async describe() {
    return (await fetched("/api/patient", { patient: this.patient })).json();
  }

  async slide(slide) {
    return (await fetched("/api/slide", this.of(slide))).json();
  }

  async score(slide, name) {
    return new Float32Array(await (await fetched("/api/score", this.of(slide, { name }))).arrayBuffer());
  }

  async numbers(slide) {
    return new Int32Array(await (await fetched("/api/numbers", this.of(slide))).arrayBuffer());
  }

  async neighbours(slide, tile) {
    return (await fetched("/api/neighbours", this.of(slide, { tile }))).json();
  }

  /** Address of a tile of the pyramid. */
  tileUrl(slide, record) {
    return (level, column, row) =>
      `/tile?${new URLSearchParams(this.of(slide, { v: record.version, level, column, row }))}`;
  }

  /** Address of the picture of a tile of the map. */
  thumbnail(slide, record, tile) {
    return `/thumbnail?${new URLSearchParams(this.of(slide, { v: record.version, tile }))}`;
  }
}

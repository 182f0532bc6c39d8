// Where a patient's data come from in an exported file: the file itself.

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

export class ExportSource {
  constructor(content) {
    this.content = content;
  }

  of(slide) {
    return this.content.slides.find((one) => one.modality === slide.modality && one.slide === slide.slide);
  }

  async describe() {
    return this.content.about;
  }

  async slide(slide) {
    return this.of(slide).record;
  }

  async score(slide, name) {
    return new Float32Array(bytesOf(this.of(slide).scores[name]));
  }

  async numbers(slide) {
    return new Int32Array(bytesOf(this.of(slide).numbers));
  }

  async neighbours(slide, tile) {
    const found = this.of(slide).neighbours[tile];
    return found || { tiles: [], why: "This file holds the neighbours of the tiles in the table only." };
  }

  tileUrl(slide) {
    const { tiles } = this.of(slide);
    return (level, column, row) => `data:image/jpeg;base64,${tiles[`${level}/${column}/${row}`]}`;
  }

  thumbnail(slide, record, tile) {
    const picture = this.of(slide).thumbnails[tile];
    return picture ? `data:image/jpeg;base64,${picture}` : null;
  }
}

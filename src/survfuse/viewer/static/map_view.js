// A slide in OpenSeadragon with a map on a canvas of our own, which is never smoothed.

const BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=";
const LARGEST = 8; // screen px of an image px
const TOUCHES = ["canvas-enter", "canvas-press", "canvas-scroll", "canvas-pinch", "canvas-key"];
const STILL = ["KeyR", "KeyF"]; // keys that would turn or flip the slide

export class MapView {
  /** record: of the slide; tileUrl(level, column, row) or null where there is no image. */
  constructor(element, label, record, tileUrl, heard) {
    this.record = record;
    this.heard = heard;
    this.bitmap = null;
    this.opacity = 1;
    this.marker = null;
    this.lead = () => {}; // of one view alone there is no other to lead
    const picture = record.picture;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.osd = OpenSeadragon({
      element,
      drawer: "canvas",
      showNavigationControl: false,
      showNavigator: false,
      animationTime: calm ? 0 : 0.4,
      blendTime: 0,
      maxZoomPixelRatio: LARGEST * Math.max(1, picture.scale),
      minZoomImageRatio: 0.6,
      visibilityRatio: 0.3,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsPen: { clickToZoom: false },
      tileSources: {
        width: picture.width,
        height: picture.height,
        tileSize: picture.tile,
        tileOverlap: 0,
        minLevel: 0,
        maxLevel: picture.levels - 1,
        getTileUrl: tileUrl || (() => BLANK),
      },
    });
    const stage = this.osd.canvas;
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label", label);
    this.canvas = document.createElement("canvas");
    this.canvas.className = "map";
    this.canvas.setAttribute("aria-hidden", "true");
    stage.append(this.canvas);
    this.scale = document.createElement("div");
    this.scale.className = "scale";
    this.scale.append(document.createElement("span"), document.createTextNode(""));
    stage.append(this.scale);
    for (const event of ["open", "update-viewport", "resize", "animation-finish"]) {
      this.osd.addHandler(event, () => this.redraw());
    }
    this.osd.addHandler("open", () => {
      const image = this.osd.world.getItemAt(0);
      const mark = () => element.classList.toggle("loaded", image.getFullyLoaded());
      image.addHandler("fully-loaded-change", mark);
      mark();
    });
    this.osd.addHandler("canvas-click", (event) => event.quick && this.pick(event.position));
    this.osd.addHandler("canvas-key", (event) => this.key(event));
    this.osd.addHandler("tile-load-failed", () => heard.failed());
  }

  key(event) {
    const code = event.originalEvent.code;
    if (STILL.includes(code)) event.preventDefaultAction = true;
    if (code === "Enter") {
      const size = this.osd.viewport.getContainerSize();
      this.pick(new OpenSeadragon.Point(size.x / 2, size.y / 2));
    }
  }

  /** Level-0 px as px of the window of the slide. */
  toWindow(x, y) {
    const picture = this.record.picture;
    const point = new OpenSeadragon.Point((x - picture.left) / picture.scale, (y - picture.top) / picture.scale);
    return this.osd.viewport.imageToViewerElementCoordinates(point);
  }

  /** Row and column of the map at a place of the window. */
  pick(position) {
    const map = this.record.map;
    if (!map || !this.osd.isOpen()) return;
    const picture = this.record.picture;
    const point = this.osd.viewport.viewerElementToImageCoordinates(position);
    const x = point.x * picture.scale + picture.left;
    const y = point.y * picture.scale + picture.top;
    const column = Math.floor((x - map.origin[0]) / map.step[0]);
    const row = Math.floor((y - map.origin[1]) / map.step[1]);
    const inside = row >= 0 && row < map.rows && column >= 0 && column < map.columns;
    this.heard.picked(inside ? { row, column } : null);
  }

  setMap(bitmap, opacity) {
    this.bitmap = bitmap;
    this.opacity = opacity;
    this.redraw();
  }

  setMarker(corner) {
    this.marker = corner;
    this.redraw();
  }

  /** Move to a tile, so near that it can be seen. */
  goTo(x, y, side) {
    if (!this.osd.isOpen()) {
      this.osd.addOnceHandler("open", () => this.goTo(x, y, side));
      return;
    }
    this.lead();
    const picture = this.record.picture;
    const wide = side * 6;
    const box = this.osd.viewport.imageToViewportRectangle(
      (x - (wide - side) / 2 - picture.left) / picture.scale,
      (y - (wide - side) / 2 - picture.top) / picture.scale,
      wide / picture.scale,
      wide / picture.scale,
    );
    this.osd.viewport.fitBounds(box);
  }

  /** Show at once what another view shows. */
  show(view) {
    this.osd.viewport.zoomTo(view.osd.viewport.getZoom(true), null, true);
    this.osd.viewport.panTo(view.osd.viewport.getCenter(true), true);
  }

  zoomBy(factor) {
    this.lead();
    this.osd.viewport.zoomBy(factor);
    this.osd.viewport.applyConstraints();
  }

  home() {
    this.lead();
    this.osd.viewport.goHome();
  }

  redraw() {
    if (!this.osd.isOpen()) return;
    const dense = window.devicePixelRatio || 1;
    const size = this.osd.viewport.getContainerSize();
    const [width, height] = [Math.round(size.x * dense), Math.round(size.y * dense)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, size.x, size.y);
    if (this.bitmap) this.drawMap(context);
    if (this.marker) this.drawMarker(context);
    this.drawScale();
  }

  drawMap(context) {
    const { origin, step, rows, columns } = this.record.map;
    const from = this.toWindow(origin[0], origin[1]);
    const to = this.toWindow(origin[0] + columns * step[0], origin[1] + rows * step[1]);
    context.imageSmoothingEnabled = false;
    context.globalAlpha = this.opacity;
    context.drawImage(this.bitmap, from.x, from.y, to.x - from.x, to.y - from.y);
    context.globalAlpha = 1;
  }

  drawMarker(context) {
    const { x, y, side } = this.marker;
    const from = this.toWindow(x, y);
    const to = this.toWindow(x + side, y + side);
    for (const [colour, width] of [["#fff", 5], ["#000", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(from.x, from.y, to.x - from.x, to.y - from.y);
    }
  }

  /** A bar of a round length, where µm per px are known. */
  drawScale() {
    const mpp = this.record.map && this.record.map.mpp;
    this.scale.hidden = !mpp;
    if (!mpp) return;
    const start = this.toWindow(0, 0);
    const perPx = mpp / (this.toWindow(1000, 0).x - start.x) * 1000;
    const power = 10 ** Math.floor(Math.log10(perPx * 140));
    const length = [5, 2, 1].map((n) => n * power).find((n) => n <= perPx * 140);
    this.scale.firstChild.style.width = `${length / perPx}px`;
    this.scale.lastChild.textContent = length >= 1000 ? `${length / 1000} mm` : `${length} µm`;
  }

  close() {
    this.osd.destroy();
  }
}

/** Let two views show the same place: the one that was touched last leads, the other follows. */
export function link(one, other) {
  let leader = one;
  for (const [view, follower] of [[one, other], [other, one]]) {
    view.lead = () => {
      leader = view;
    };
    for (const event of TOUCHES) view.osd.addHandler(event, view.lead);
    view.osd.addHandler("viewport-change", () => {
      if (leader === view && follower.osd.isOpen()) follower.show(view);
    });
  }
  other.osd.addHandler("open", () => one.osd.isOpen() && other.show(one));
}

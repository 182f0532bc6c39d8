// The page about a patient: slides with maps, side by side, and their tiles.

import { buildControls } from "./controls.js";
import { byId, make } from "./dom.js";
import { fillLegend } from "./legend.js";
import { readLook, slideKey, writeLook } from "./look.js";
import { MapView, link } from "./map_view.js";
import { fillFacts, fillTerms } from "./patient_facts.js";
import { clusterColours, paintScore, stopsOf } from "./score_image.js";
import { emptyPanel, fillListed, fillNeighbours, fillPanel, markListed } from "./tile_panel.js";
import { valueOf } from "./values.js";

const SIDES = ["score", "beside"];

export class PatientPage {
  constructor(source) {
    this.source = source;
    this.look = readLook();
    this.views = {};
    this.scores = new Map();
    this.opened = 0;
    this.marker = null;
    this.remember();
  }

  /** The maps that were asked for, also where a slide does not have them. */
  remember() {
    this.wanted = { score: this.look.score, beside: this.look.beside };
  }

  async open() {
    this.about = await this.source.describe();
    this.palettes = this.about.palettes;
    this.slides = this.about.slides;
    fillFacts(this.about);
    fillTerms(this.about.terms);
    document.title = `Patient ${this.about.patient} – survfuse viewer`;
    if (!this.slides.length) {
      this.refuse("This patient has no slides.");
      return;
    }
    this.buildButtons();
    await this.openSlide();
    window.addEventListener("hashchange", () => this.attempt(this.follow()));
  }

  /** Say why something is not shown; nothing hides what was said before. */
  refuse(...texts) {
    const sentences = texts.filter(Boolean).map((text) => `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`);
    byId("why").replaceChildren(...sentences.map((text) => make("p", {}, text)));
    byId("why").hidden = !sentences.length;
  }

  say(text) {
    byId("status").textContent = text;
  }

  /** The address was changed by hand. */
  async follow() {
    this.look = readLook();
    this.remember();
    await this.openSlide();
  }

  /** The slide that the look names, or the first. */
  get slide() {
    return this.slides.find((slide) => slideKey(slide) === this.look.slide) || this.slides[0];
  }

  async openSlide() {
    const slide = this.slide;
    this.look.slide = slideKey(slide) === slideKey(this.slides[0]) ? "" : slideKey(slide);
    this.say(`Slide ${slide.slide} is opened …`);
    this.opened += 1;
    const mine = this.opened;
    const record = await this.source.slide(slide);
    if (mine !== this.opened) return; // another slide was chosen meanwhile
    this.record = record;
    this.scores = new Map();
    [this.numbers, this.clusters, this.marker] = [null, [], null];
    Object.assign(this.look, this.wanted);
    await this.readMap(slide);
    if (mine !== this.opened) return;
    this.showSlide(slide);
    if (!record.picture) return;
    await this.draw();
    this.say(`Slide ${slide.slide}: ${slide.tiles.toLocaleString("en")} tiles.`);
    if (this.look.tile !== "" && this.numbers) await this.choose(Number(this.look.tile), true);
  }

  /** Which maps there are, which tile lies where, and which clusters. */
  async readMap(slide) {
    const { map } = this.record;
    if (!map || !map.scores.length) {
      Object.assign(this.look, { score: "none", beside: "" });
      return;
    }
    const names = map.scores.map((score) => score.name);
    if (![...names, "none"].includes(this.look.score)) this.look.score = names[0];
    if (!["", "none", ...names].includes(this.look.beside)) this.look.beside = "";
    this.numbers = await this.source.numbers(slide);
    if (names.includes("cluster")) {
      const known = (await this.scoreOf("cluster")).filter((value) => !Number.isNaN(value));
      this.clusters = [...new Set(known)].sort((a, b) => a - b);
    }
  }

  showSlide(slide) {
    const { picture, why_no_map: noMap, why_no_image: noImage } = this.record;
    this.refuse(noMap, noImage && `no picture of the slide: ${noImage}`);
    byId("viewer").hidden = !picture;
    if (!picture) return;
    fillListed(this.record, (one) => this.pictureOf(slide, one), (one) => this.attempt(this.choose(one.tile, true)));
    emptyPanel(this.numbers ? "No tile is chosen." : "There is no map, so no tile can be chosen.");
    this.buildViews();
    this.buildControls();
  }

  buildControls() {
    buildControls(this, (name, value) => this.attempt(this.change(name, value)));
  }

  /** Say what went wrong. */
  attempt(work) {
    work.catch((error) => this.refuse(error.message));
  }

  pictureOf(slide, one) {
    if (slideKey(slide) === slideKey(this.slide) && !this.record.version) return null; // it cannot be read
    const known = this.slides.find((own) => slideKey(own) === slideKey(slide));
    return known && known.picture ? this.source.thumbnail(slide, this.record, one.tile) : null;
  }

  buildButtons() {
    const all = (act) => () => act(this.views.score);
    const buttons = [
      ["Zoom in", all((view) => view.zoomBy(1.6))],
      ["Zoom out", all((view) => view.zoomBy(1 / 1.6))],
      ["Whole slide", all((view) => view.home())],
    ];
    byId("buttons").append(...buttons.map(([text, act]) => make("button", { type: "button", onclick: act }, text)));
  }

  /** A view of the map, and one beside it where two are wanted. */
  buildViews() {
    for (const view of Object.values(this.views)) view.close();
    this.views = {};
    const box = byId("views");
    box.replaceChildren();
    const sides = this.look.beside ? SIDES : ["score"];
    box.className = sides.length > 1 ? "views two" : "views";
    for (const side of sides) this.buildView(side, box);
    if (sides.length > 1) link(this.views.score, this.views.beside);
    window.survfuseViews = this.views;
  }

  buildView(side, box) {
    const slide = this.slide;
    const glass = make("div", { class: "glass", id: `glass-${side}` });
    const legend = make("div", { class: "legend", id: `legend-${side}` });
    const caption = make("figcaption", { id: `caption-${side}` });
    box.append(make("figure", { class: "view" }, caption, glass, legend));
    const tileUrl = this.record.version ? this.source.tileUrl(slide, this.record) : null;
    const heard = {
      picked: (place) => this.pick(place),
      failed: () => this.say("A part of the slide cannot be read."),
    };
    this.views[side] = new MapView(glass, `Slide ${slide.slide}`, this.record, tileUrl, heard);
  }

  async change(name, value) {
    this.look[name] = value;
    if (name in this.wanted) this.wanted[name] = value;
    if (name === "slide") {
      this.look.tile = "";
      await this.openSlide();
      byId("control-slide").focus();
      return;
    }
    if (name === "score") this.look.palette = "";
    if (name === "beside" && Boolean(value) !== Boolean(this.views.beside)) this.buildViews();
    if (name === "score" || name === "beside") this.buildControls();
    await this.draw();
    if (this.marker) for (const view of Object.values(this.views)) view.setMarker(this.marker);
  }

  scoreNamed(name) {
    return this.record.map ? this.record.map.scores.find((score) => score.name === name) : undefined;
  }

  async scoreOf(name) {
    const { scores } = this; // those of this slide
    if (!scores.has(name)) scores.set(name, this.source.score(this.slide, name));
    try {
      return await scores.get(name);
    } catch (error) {
      scores.delete(name); // the next choice tries again
      throw error;
    }
  }

  async draw() {
    writeLook(this.look);
    for (const [side, view] of Object.entries(this.views)) await this.drawSide(side, view);
    const score = this.scoreNamed(this.look.score);
    document.title = `Patient ${this.about.patient}, slide ${this.slide.slide}${score ? `: ${score.title}` : ""} – survfuse viewer`;
  }

  async drawSide(side, view) {
    const score = this.scoreNamed(this.look[side]);
    const caption = byId(`caption-${side}`);
    const legend = byId(`legend-${side}`);
    caption.textContent = score ? `${score.title} on slide ${this.slide.slide}` : `Slide ${this.slide.slide}`;
    legend.replaceChildren();
    view.osd.canvas.setAttribute("aria-label", `${caption.textContent}. Arrow keys move, plus and minus zoom, Enter chooses the tile in the middle.`);
    if (!score) {
      view.setMap(null, 0);
      return;
    }
    const { rows, columns } = this.record.map;
    const values = await this.scoreOf(score.name);
    if (this.views[side] !== view || this.look[side] !== score.name) return; // another was chosen meanwhile
    legend.replaceChildren(); // of a draw that was faster
    const stops = stopsOf(this.palettes, score, this.look.palette);
    const look = {
      stops,
      clusters: score.kind === "categories" ? clusterColours(this.clusters, stops) : null,
      threshold: this.look.threshold / 100,
      cluster: this.look.cluster === "" ? null : Number(this.look.cluster),
    };
    view.setMap(paintScore(values, rows, columns, score, look), this.look.opacity / 100);
    fillLegend(legend, score, look);
  }

  pick(place) {
    if (!this.numbers) return;
    const tile = place ? this.numbers[place.row * this.record.map.columns + place.column] : -1;
    if (tile < 0) {
      this.say("There is no tile.");
      return;
    }
    this.attempt(this.choose(tile, false));
  }

  /** Show a tile of this slide. */
  async choose(tile, move) {
    const { map } = this.record;
    const place = this.numbers.indexOf(tile);
    if (place < 0) {
      this.say(`There is no tile ${tile} of its own on the map.`);
      return;
    }
    const slide = this.slide;
    const [row, column] = [Math.floor(place / map.columns), place % map.columns];
    const [x, y] = [map.origin[0] + column * map.step[0], map.origin[1] + row * map.step[1]];
    const inset = [(map.step[0] - map.side) / 2, (map.step[1] - map.side) / 2];
    this.marker = { x: x + inset[0], y: y + inset[1], side: map.side };
    for (const view of Object.values(this.views)) view.setMarker(this.marker);
    if (move) this.views.score.goTo(this.marker.x, this.marker.y, map.side);
    this.look.tile = String(tile);
    writeLook(this.look);
    markListed(tile);
    const values = await Promise.all(map.scores.map(async (score) => [score, (await this.scoreOf(score.name))[place]]));
    if (this.slide !== slide || this.look.tile !== String(tile)) return; // another was chosen
    const box = fillPanel(tile, { unit: "x, y (px)", text: `${Math.round(this.marker.x)}, ${Math.round(this.marker.y)}` }, values);
    const told = values.filter(([score]) => ["contribution", "tile_risk"].includes(score.name));
    this.say(`Tile ${tile}${told.map(([score, value]) => `; ${score.title.toLowerCase()} ${valueOf(score, value)}`).join("")}.`);
    const found = await this.source.neighbours(slide, tile);
    if (this.slide !== slide || this.look.tile !== String(tile)) return; // another was chosen
    fillNeighbours(box, found, (one) => this.pictureOf({ ...slide, slide: one.slide }, one), (one) => this.attempt(this.chooseOn(one)));
  }

  /** Show a tile that may lie on another slide of the patient. */
  async chooseOn(one) {
    if (one.slide !== this.slide.slide) {
      this.look.slide = slideKey({ ...this.slide, slide: one.slide });
      this.look.tile = String(one.tile);
      await this.openSlide();
      return;
    }
    await this.choose(one.tile, true);
  }
}

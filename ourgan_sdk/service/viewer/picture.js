/** The picture: OpenSeadragon over the service's IIIF tiles. */

import { Tiles } from "./tiles.js";
import { formatCanvas } from "./state.js";

/**
 * From how many pixels of the screen per pixel of a level on that level is drawn. At 100 %, 50 %, 25 % ... a pixel is
 * one of the screen; between these pixels are enlarged up to 1.5 times, where 0.5 would take twice as many tiles.
 */
const FINEST = 0.75;
const CLOSEST = 4; // pixels of the screen per pixel of the picture
const PAUSE = 250; // milliseconds in which nothing moves before a view is one to remember

/**
 * Dispatches "move" in every frame in which the view moves, "rest" when it has come to rest, "change" when
 * `phase` changes: "empty", "composing" (nothing of the picture is there yet), "loading", "drawn"; and "refused"
 * with `error`.
 */
export class Picture extends EventTarget {
  canvas = null;
  phase = "empty";
  #server;
  #viewer;
  #tiles;
  #image = null;
  #opening = null; // an AbortController, while a picture is awaited
  #still = 0; // frames since something moved
  #timer = null;

  constructor(element, server) {
    super();
    this.#server = server;
    this.#tiles = new Tiles(server, (job) => this.#rank(job));
    this.#viewer = new OpenSeadragon.Viewer({
      element,
      drawer: drawers(),
      showNavigationControl: false,
      keyboardNavEnabled: false,
      immediateRender: true,
      minPixelRatio: FINEST,
      maxZoomPixelRatio: CLOSEST / devicePixelRatio,
      minZoomImageRatio: 0.8,
      visibilityRatio: 0.3,
      animationTime: isCalm() ? 0 : 0.5,
      zoomPerScroll: 1.35,
      maxTilesPerFrame: 32,
      imageLoaderLimit: 0, // Tiles sees to it
      timeout: 24 * 60 * 60 * 1000, // waiting for a busy server is no failure
      maxImageCacheCount: 256,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { flickEnabled: !isCalm() },
      placeholderFillStyle: null,
      tabIndex: "",
    });
    this.#viewer.addHandler("viewport-change", () => this.#moved());
    this.#viewer.addHandler("resize", () => this.#moved());
    this.#viewer.addHandler("animation-finish", () => {
      this.#tiles.prune();
      this.#align();
    });
    const { drawer } = this.#viewer;
    const isOverlapped = drawer.minimumOverlapRequired.bind(drawer);
    // Against seams a plain canvas stretches tiles by a pixel, which blurs those that fit.
    drawer.minimumOverlapRequired = (image) => isOverlapped(image) && !this.#fits();
    this.#tiles.addEventListener("load", () => this.#loaded());
    this.#tiles.addEventListener("refused", ({ error }) => this.#refuse(error));
    this.#watch();
  }

  /**
   * Show `canvas`, at `at` or, of the same size as the one before, where that was; over it until it is there. What
   * was awaited before is no longer. Whether it is shown: false if it was refused or, meanwhile, another was wanted.
   */
  async show(canvas, at = null) {
    this.#opening?.abort();
    const opening = new AbortController();
    this.#opening = opening;
    const id = formatCanvas(canvas);
    const isKept = this.#image !== null && id === formatCanvas(this.canvas);
    this.#enter(isKept ? "loading" : "composing");
    try {
      if (!isKept) await this.#open(canvas, id, opening.signal);
    } catch (error) {
      if (opening.signal.aborted) return false;
      this.#opening = null;
      this.#enter(this.#image ? "loading" : "empty");
      this.#refuse(error);
      return false;
    }
    if (opening.signal.aborted) return false;
    this.#opening = null;
    this.canvas = canvas;
    if (at) this.at = at;
    this.#tiles.prune();
    this.#moved();
    return true;
  }

  async #open(canvas, id, signal) {
    const info = await this.#server.json(`iiif/3/${id}/info.json`, { signal });
    info.id = this.#server.url(`iiif/3/${id}`); // as this page sees it, whatever stands between
    const source = new OpenSeadragon.IIIFTileSource(OpenSeadragon.IIIFTileSource.prototype.configure(info));
    const image = await this.#add(this.#tiles.serve(source));
    const { world } = this.#viewer;
    if (signal.aborted) {
      world.removeItem(image);
      return;
    }
    const isSame = this.canvas?.width === canvas.width && this.canvas?.height === canvas.height;
    for (const old of this.#images().filter((one) => one !== image)) {
      if (isSame) old.setOpacity(0.4);
      else world.removeItem(old);
    }
    this.#image = image;
    this.canvas = canvas;
    if (!isSame) this.home(true);
  }

  /** Whether what is shown is what is wanted. */
  #isOpen() {
    return this.#image !== null && this.#opening === null;
  }

  #add(tileSource) {
    return new Promise((resolve, reject) => {
      const success = ({ item }) => resolve(item);
      this.#viewer.addTiledImage({ tileSource, x: 0, y: 0, width: 1, success, error: reject });
    });
  }

  #images() {
    const { world } = this.#viewer;
    return Array.from({ length: world.getItemCount() }, (_, index) => world.getItemAt(index));
  }

  /** The middle of the view in pixels of the picture, and pixels of the screen per pixel of it; or null. */
  get at() {
    if (!this.#image) return null;
    const { viewport } = this.#viewer;
    const { x, y } = this.#image.viewportToImageCoordinates(viewport.getCenter());
    return { x, y, scale: this.#image.viewportToImageZoom(viewport.getZoom()) * devicePixelRatio };
  }

  set at({ x, y, scale }) {
    const { viewport } = this.#viewer;
    viewport.zoomTo(this.#image.imageToViewportZoom(scale / devicePixelRatio), null, true);
    viewport.panTo(this.#image.imageToViewportCoordinates(x, y), true);
    viewport.applyConstraints(true);
    this.#align();
    this.#moved();
  }

  /** How many pixels of the picture per side one is that is drawn. */
  get reduction() {
    return 2 ** (this.#image.source.maxLevel - this.#level());
  }

  /** By shares of the view. */
  pan(x, y) {
    const { viewport } = this.#viewer;
    const bounds = viewport.getBounds();
    viewport.panBy(new OpenSeadragon.Point(x * bounds.width, y * bounds.height), isCalm());
    viewport.applyConstraints(isCalm());
  }

  zoom(factor) {
    this.#viewer.viewport.zoomBy(factor, null, isCalm());
    this.#viewer.viewport.applyConstraints(isCalm());
  }

  home(isImmediate = isCalm()) {
    this.#viewer.viewport.goHome(isImmediate);
  }

  /** To a pixel of the screen per pixel of the picture. */
  fullScale() {
    if (this.#image) this.zoom(1 / this.at.scale);
  }

  /** The part of the picture that is seen, which may go beyond it. */
  get view() {
    return this.#image.viewportToImageRectangle(this.#viewer.viewport.getBounds());
  }

  /** A rectangle of the picture in pixels of the page, within the element. */
  onScreen({ x, y, width, height }) {
    const corner = this.#image.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
    const end = this.#image.imageToViewerElementCoordinates(new OpenSeadragon.Point(x + width, y + height));
    return { x: corner.x, y: corner.y, width: end.x - corner.x, height: end.y - corner.y };
  }

  /** The place in the picture of a place in the element. */
  inPicture(x, y) {
    return this.#image.viewerElementToImageCoordinates(new OpenSeadragon.Point(x, y));
  }

  /** How soon a tile is wanted: by its distance from the middle; null if it is not of this view. */
  #rank({ tile, source }) {
    const { viewport } = this.#viewer;
    if (source !== this.#image?.source) return null;
    const bounds = viewport.getBounds();
    const [dx, dy] = [["x", "width"], ["y", "height"]].map(([start, length]) => {
      const [low, high] = [tile.bounds[start], tile.bounds[start] + tile.bounds[length]];
      const isSeen = low < bounds[start] + bounds[length] && high > bounds[start];
      return isSeen ? Math.abs((low + high) / 2 - bounds[start] - bounds[length] / 2) / bounds[length] : NaN;
    });
    const distance = Math.hypot(dx, dy);
    if (Number.isNaN(distance)) return null;
    if (tile.level === this.#level()) return distance;
    return this.#isMoving() ? 10 + distance : null;
  }

  /** Whether a pixel of the level that is drawn is one of the screen. */
  #fits() {
    return this.#image !== null && !this.#isMoving() && Math.abs(this.#pixels(this.#level()) - 1) < 1e-6;
  }

  /** Then let it lie on one: half a pixel beside it would be blurred. */
  #align() {
    if (!this.#fits()) return;
    const { viewport } = this.#viewer;
    const { x, y } = viewport.getBounds();
    const pixel = viewport.getBounds().width / (this.#viewer.container.clientWidth * devicePixelRatio);
    const beside = new OpenSeadragon.Point(Math.round(x / pixel) * pixel - x, Math.round(y / pixel) * pixel - y);
    if (Math.hypot(beside.x, beside.y) > pixel / 1000) viewport.panBy(beside, true);
  }

  /** The level that is drawn once all of the view is there: OpenSeadragon's rule. */
  #level() {
    const { source } = this.#image;
    let level = source.maxLevel;
    while (level > source.minLevel && this.#pixels(level) < FINEST) level -= 1;
    return level;
  }

  /** Of the screen, per pixel of a level. */
  #pixels(level) {
    return this.#viewer.viewport.deltaPixelsFromPointsNoRotate(this.#image.source.getPixelRatio(level)).x;
  }

  #isMoving() {
    const { viewport } = this.#viewer;
    return !viewport.getCenter(true).equals(viewport.getCenter()) || viewport.getZoom(true) !== viewport.getZoom();
  }

  #moved() {
    this.#still = 0;
    if (this.phase === "drawn") this.#enter("loading");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.dispatchEvent(new Event("rest")), PAUSE);
    this.dispatchEvent(new Event("move"));
  }

  #loaded() {
    if (this.#isOpen() && this.phase === "composing") this.#enter("loading");
  }

  /** Once per frame: whether all of the view has been drawn, which OpenSeadragon finds out a frame later. */
  #watch() {
    this.#still += 1;
    const isStill = this.#isOpen() && this.#still > 2 && !this.#isMoving();
    if (isStill && this.phase !== "drawn" && this.#tiles.isIdle && this.#image.getFullyLoaded()) {
      for (const image of this.#images()) if (image !== this.#image) this.#viewer.world.removeItem(image);
      this.#enter("drawn");
    }
    requestAnimationFrame(() => this.#watch());
  }

  #refuse(error) {
    this.dispatchEvent(Object.assign(new Event("refused"), { error }));
  }

  #enter(phase) {
    if (phase === this.phase) return;
    this.phase = phase;
    this.dispatchEvent(new Event("change"));
  }
}

/** WebGL where a graphics card does it: in software it is many times slower than a plain canvas. */
function drawers() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const names = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = gl?.getParameter(names?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER) ?? "software";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name) ? ["canvas"] : ["webgl", "canvas"];
}

/** Whether whoever looks wants nothing to move by itself. */
export function isCalm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** A strip of what other seeds would be, with detail, made one after the other while the picture itself rests. */

import { formatCanvas, furtherSeed } from "./state.js";

const PER_PAGE = 8;
const WIDTH = 240; // pixels of a thumbnail
const CALM = 600; // milliseconds for which the picture has to rest: thumbnails take the same processors

export class Seeds {
  #server;
  #picture;
  #list;
  #choose;
  #first = null; // the canvas with the first seed of the page
  #shown = new Set(); // items within sight
  #observer;
  #controller = null;
  #made = new Map(); // identifier: URL of a thumbnail, of this page and the one before
  #since = performance.now();

  /** `choose(canvas)` is called with the one of a thumbnail; `list` is an element for a list of them. */
  constructor(server, picture, list, choose) {
    this.#server = server;
    this.#picture = picture;
    this.#list = list;
    this.#choose = choose;
    picture.addEventListener("change", () => this.#make());
    picture.addEventListener("move", () => (this.#since = performance.now()));
    picture.addEventListener("rest", () => setTimeout(() => this.#make(), CALM));
    this.#observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.#shown[isIntersecting ? "add" : "delete"](target);
      }
      this.#make();
    });
  }

  /** Show the page with `canvas`'s seed, which is marked. */
  show(canvas) {
    const isSamePage =
      this.#first && formatCanvas({ ...this.#first, seed: 0n }) === formatCanvas({ ...canvas, seed: 0n }) &&
      BigInt.asUintN(64, canvas.seed - this.#first.seed) < PER_PAGE;
    if (!isSamePage) this.#fill({ ...canvas, seed: canvas.seed - (canvas.seed % BigInt(PER_PAGE)) });
    for (const item of this.#list.children) {
      const isThis = item.firstChild.dataset.seed === String(canvas.seed);
      if (isThis) item.firstChild.setAttribute("aria-current", "true");
      else item.firstChild.removeAttribute("aria-current");
      if (isThis) this.#list.scrollLeft = item.offsetLeft - (this.#list.clientWidth - item.offsetWidth) / 2;
    }
  }

  /** Turn so many pages. */
  turn(pages) {
    if (this.#first) this.#fill(furtherSeed(this.#first, pages * PER_PAGE));
  }

  #fill(first) {
    this.#controller?.abort();
    this.#first = first;
    this.#observer.disconnect();
    this.#shown.clear();
    const canvases = Array.from({ length: PER_PAGE }, (_, index) => furtherSeed(first, index));
    this.#list.replaceChildren(...canvases.map((canvas) => this.#item(canvas)));
    this.#list.scrollLeft = 0;
    this.#forget(new Set(canvases.map(formatCanvas)));
    this.#make();
  }

  #item(canvas) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const label = document.createElement("span");
    button.type = "button";
    button.className = "seed";
    button.dataset.seed = canvas.seed;
    button.style.aspectRatio = String(Math.min(Math.max(canvas.width / canvas.height, 0.5), 2.5));
    button.setAttribute("aria-label", `Seed ${canvas.seed}`);
    if (canvas.seed === this.#picture.canvas?.seed) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.#choose(canvas));
    label.textContent = canvas.seed;
    button.append(label);
    item.append(button);
    item.canvas = canvas;
    this.#observer.observe(item);
    this.#put(item);
    return item;
  }

  /** The thumbnail, if it has been made. */
  #put(item) {
    const url = this.#made.get(formatCanvas(item.canvas));
    const button = item.firstChild;
    if (!url || button.querySelector("img")) return;
    const image = new Image();
    image.src = url;
    image.alt = "";
    button.prepend(image);
  }

  /** Make the next one, unless one is being made or there are better things to do. */
  async #make() {
    const item = [...this.#list.children].find(
      (one) => this.#shown.has(one) && !one.firstChild.querySelector("img, [data-failed]"),
    );
    const isCalm = this.#picture.phase === "drawn" && performance.now() - this.#since > CALM;
    if (!item || this.#controller || !isCalm) return;
    const controller = new AbortController();
    this.#controller = controller;
    const id = formatCanvas(item.canvas);
    try {
      const path = `iiif/3/${id}/full/${Math.min(WIDTH, item.canvas.width)},/0/default.jpg`;
      const response = await this.#server.request(path, { signal: controller.signal });
      this.#made.set(id, URL.createObjectURL(await response.blob()));
      this.#put(item);
    } catch (error) {
      if (!controller.signal.aborted) {
        item.firstChild.querySelector("span").dataset.failed = "";
        item.firstChild.title = error.message;
      }
    } finally {
      if (this.#controller === controller) this.#controller = null;
    }
    this.#make();
  }

  #forget(wanted) {
    for (const [id, url] of this.#made) {
      if (wanted.has(id)) continue;
      URL.revokeObjectURL(url);
      this.#made.delete(id);
    }
  }
}

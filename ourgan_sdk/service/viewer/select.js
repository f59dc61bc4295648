/** A rectangle chosen on the picture: drawn by mouse or finger, moved and sized by keys, or as numbers. */

import { within } from "./state.js";

const LEAST = 4; // pixels of the screen: what is smaller was a click
const STEP = 16; // pixels of the screen, of an arrow key

/** Dispatches "change" when `rectangle` does, and "mode" when drawing begins or ends. */
export class Selection extends EventTarget {
  rectangle = null;
  isDrawing = false;
  #picture;
  #layer;
  #frame;

  /** `layer` lies over the picture while one draws, `frame` shows the rectangle; both are of the picture's size. */
  constructor(picture, layer, frame) {
    super();
    this.#picture = picture;
    this.#layer = layer;
    this.#frame = frame;
    picture.addEventListener("move", () => this.#place());
    this.#onDrag(layer, (from, to) => this.#span(from, to), () => this.draw(false));
    for (const handle of frame.querySelectorAll("[data-corner]")) this.#dragCorner(handle);
    layer.addEventListener("wheel", (event) => {
      event.preventDefault();
      picture.zoom(event.deltaY < 0 ? 1.35 : 1 / 1.35);
    }, { passive: false });
    frame.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Choose `rectangle`, as far as it lies in the picture; null: nothing. */
  set(rectangle) {
    this.rectangle = rectangle && this.#picture.canvas ? within(rectangle, this.#picture.canvas) : null;
    this.#place();
    this.dispatchEvent(new Event("change"));
  }

  /** Begin or end drawing. */
  draw(isDrawing) {
    this.isDrawing = isDrawing;
    this.#layer.hidden = !isDrawing;
    this.dispatchEvent(new Event("mode"));
  }

  /** Choose the middle of what is seen, for whoever has no pointer. */
  chooseMiddle() {
    const view = this.#picture.view;
    const [width, height] = [view.width / 2, view.height / 2];
    this.set({ x: view.x + width / 2, y: view.y + height / 2, width, height });
  }

  focus() {
    this.#frame.focus();
  }

  #place() {
    this.#frame.hidden = !this.rectangle;
    if (!this.rectangle) return;
    const { x, y, width, height } = this.#picture.onScreen(this.rectangle);
    Object.assign(this.#frame.style, {
      transform: `translate(${x}px, ${y}px)`,
      width: `${Math.max(width, 1)}px`,
      height: `${Math.max(height, 1)}px`,
    });
    const { rectangle } = this;
    this.#frame.setAttribute(
      "aria-label",
      `Selected rectangle, ${rectangle.width} by ${rectangle.height} pixels at ${rectangle.x}, ${rectangle.y}`,
    );
  }

  #span(from, to) {
    if (Math.abs(to.x - from.x) < LEAST || Math.abs(to.y - from.y) < LEAST) return;
    const [a, b] = [from, to].map(({ x, y }) => this.#picture.inPicture(x, y));
    this.set({
      x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y),
    });
  }

  #dragCorner(handle) {
    const [vertical, horizontal] = handle.dataset.corner;
    let opposite = null;
    const begin = () => {
      const { x, y, width, height } = this.#picture.onScreen(this.rectangle);
      opposite = { x: horizontal === "w" ? x + width : x, y: vertical === "n" ? y + height : y };
    };
    this.#onDrag(handle, (_, to) => this.#span(opposite, to), () => {}, begin);
  }

  /** Call `move(from, to)`, in pixels of the layer, while `element` is dragged, and `end()` after that. */
  #onDrag(element, move, end, begin = () => {}) {
    let from = null;
    const place = (event) => {
      const { left, top } = this.#frame.parentElement.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    element.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button !== 0) return;
      event.preventDefault();
      event.stopPropagation();
      element.setPointerCapture(event.pointerId);
      from = place(event);
      begin();
    });
    element.addEventListener("pointermove", (event) => {
      if (from && event.isPrimary) move(from, place(event));
    });
    for (const type of ["pointerup", "pointercancel"]) {
      element.addEventListener(type, (event) => {
        if (!from || !event.isPrimary) return;
        from = null;
        end();
      });
    }
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!steps || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const step = event.altKey ? 1 : Math.max(1, Math.round(STEP / this.#scale()));
    const [dx, dy] = steps.map((one) => one * step);
    const { x, y, width, height } = this.rectangle;
    const { canvas } = this.#picture;
    if (event.shiftKey) {
      this.set({ x, y, width: Math.max(width + dx, 1), height: Math.max(height + dy, 1) });
    } else {
      const stay = (value, length, side) => Math.min(Math.max(value, 0), side - length);
      this.set({ x: stay(x + dx, width, canvas.width), y: stay(y + dy, height, canvas.height), width, height });
    }
  }

  /** Pixels of the page per pixel of the picture. */
  #scale() {
    return this.#picture.onScreen({ x: 0, y: 0, width: 1000, height: 1000 }).width / 1000;
  }
}

/** Where in the picture one is: a small one of the whole, with a frame around what is seen. */

import { formatCanvas } from "./state.js";

const WIDTH = 168; // pixels

export class Overview {
  #server;
  #picture;
  #element;
  #id = null;

  /** `element` holds an image and a frame. */
  constructor(server, picture, element) {
    this.#server = server;
    this.#picture = picture;
    this.#element = element;
    picture.addEventListener("change", () => this.#draw());
    picture.addEventListener("move", () => this.#frame());
    element.addEventListener("pointerdown", (event) => {
      const { left, top, width, height } = element.getBoundingClientRect();
      const { canvas, at } = picture;
      picture.at = {
        x: ((event.clientX - left) / width) * canvas.width,
        y: ((event.clientY - top) / height) * canvas.height,
        scale: at.scale,
      };
    });
  }

  /** Once the picture itself is there. */
  async #draw() {
    const { canvas, phase } = this.#picture;
    if (phase !== "drawn") return;
    this.#frame();
    const id = formatCanvas(canvas);
    if (id === this.#id) return;
    this.#id = id;
    const image = this.#element.querySelector("img");
    const shape = Math.max(canvas.width / WIDTH, canvas.height / WIDTH, 1);
    const size = [canvas.width, canvas.height].map((side) => Math.max(1, Math.round(side / shape)));
    this.#element.style.width = `${size[0]}px`;
    this.#element.style.height = `${size[1]}px`;
    URL.revokeObjectURL(image.src);
    image.removeAttribute("src");
    try {
      const response = await this.#server.request(`iiif/3/${id}/full/${size.join(",")}/0/default.jpg`);
      const blob = await response.blob();
      if (id === this.#id) image.src = URL.createObjectURL(blob);
    } catch {
      // the picture itself says what is refused; here the frame alone is left
    }
  }

  #frame() {
    const { canvas, at } = this.#picture;
    if (!canvas || !at) return;
    const { x, y, width, height } = this.#picture.view;
    const isWhole = width >= canvas.width * 0.95 && height >= canvas.height * 0.95;
    this.#element.hidden = isWhole;
    const share = (value, side) => `${100 * Math.min(Math.max(value / side, 0), 1)}%`;
    Object.assign(this.#element.querySelector("span").style, {
      left: share(x, canvas.width),
      top: share(y, canvas.height),
      right: share(canvas.width - x - width, canvas.width),
      bottom: share(canvas.height - y - height, canvas.height),
    });
  }
}

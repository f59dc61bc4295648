/** The form that saves: what of the picture, at what size, in which format. */

import { formatCanvas } from "./state.js";
import { count } from "./words.js";

/** What the formats are called, and which of the form's fields they have. */
const FORMATS = {
  png: ["PNG", "bits", "dpi"],
  tif: ["TIFF", "bits", "dpi", "pyramid"],
  jpg: ["JPEG", "quality", "dpi"],
  webp: ["WebP", "quality"],
  dzi: ["Deep Zoom (ZIP)", "quality"],
  zarr: ["OME-Zarr (ZIP)", "bits"],
  npy: ["NumPy array", "bits"],
};

export class SaveForm {
  #form;
  #fields;
  #picture;
  #selection;
  #limits;

  /** `save(order)` is called with what the service is to be asked for. */
  constructor(form, picture, selection, { formats, limits }, save) {
    this.#form = form;
    this.#fields = form.elements;
    this.#picture = picture;
    this.#selection = selection;
    this.#limits = limits;
    for (const format of formats) {
      this.#fields.format.append(new Option(FORMATS[format]?.[0] ?? format.toUpperCase(), format));
    }
    for (const name of ["x", "y", "width", "height"]) {
      this.#fields[name].addEventListener("change", () => this.#chooseNumbers());
    }
    form.addEventListener("input", () => this.refresh());
    selection.addEventListener("change", () => {
      this.#fields.what.value = selection.rectangle ? "selection" : "whole";
      this.refresh();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (form.reportValidity()) save(this.#order());
    });
  }

  /** Show what the fields now mean. */
  refresh() {
    const { canvas } = this.#picture;
    if (!canvas) return;
    const fields = this.#fields;
    const { rectangle } = this.#selection;
    const isPart = fields.what.value === "selection";
    this.#form.querySelector("#rectangle").hidden = !isPart;
    this.#form.querySelector("#no-rectangle").hidden = !isPart || rectangle !== null;
    if (rectangle) {
      for (const name of ["x", "y", "width", "height"]) {
        if (document.activeElement !== fields[name]) fields[name].value = rectangle[name];
      }
    }
    const used = FORMATS[fields.format.value]?.slice(1) ?? [];
    for (const name of ["quality", "bits", "dpi", "pyramid"]) {
      fields[name].closest(".field").hidden = !used.includes(name);
    }
    this.#measure(isPart && !rectangle);
  }

  #measure(isNothing) {
    const { width, height } = this.#size();
    const output = this.#form.querySelector("output");
    const pixels = width * height;
    const megapixels = (number) => `${(number / 1e6).toLocaleString("en", { maximumSignificantDigits: 3 })} megapixels`;
    const isLarge = pixels > this.#limits.pixels;
    const most = `, more than the ${megapixels(this.#limits.pixels)} that are saved here`;
    const size = `${count(width)} × ${count(height)} pixels, ${megapixels(pixels)}${isLarge ? most : ""}`;
    output.value = isNothing ? "" : size;
    this.#fields.scale.setCustomValidity(isLarge ? `${size}.` : "");
    output.dataset.tooLarge = isLarge;
    this.#fields.save.disabled = isNothing;
  }

  #region() {
    const { canvas } = this.#picture;
    const { rectangle } = this.#selection;
    return this.#fields.what.value === "selection" && rectangle
      ? rectangle : { x: 0, y: 0, width: canvas.width, height: canvas.height };
  }

  /** Of the file. */
  #size() {
    const scale = Number(this.#fields.scale.value) / 100 || 0;
    const { width, height } = this.#region();
    return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  }

  #chooseNumbers() {
    const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(this.#fields[name].value));
    if (width >= 1 && height >= 1) this.#selection.set({ x, y, width, height });
  }

  #order() {
    const fields = this.#fields;
    const { x, y, width, height } = this.#region();
    const order = {
      canvas: formatCanvas(this.#picture.canvas),
      region: [x, y, width, height],
      ...this.#size(),
      format: fields.format.value,
    };
    const used = FORMATS[order.format]?.slice(1) ?? [];
    if (used.includes("quality")) order.quality = Number(fields.quality.value);
    if (used.includes("bits")) order.bits = Number(fields.bits.value);
    if (used.includes("dpi") && fields.dpi.value) order.dpi = Number(fields.dpi.value);
    if (used.includes("pyramid") && fields.pyramid.checked) order.pyramid = true;
    return order;
  }
}

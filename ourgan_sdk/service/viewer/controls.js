/** The form of what the picture is: source, seed, size, extent, layout, detail. Every change is shown at once. */

import { LAST_SEED, OPTIONS, usual } from "./state.js";

const PATCHES = ["vertical", "tileable", "retarget"]; // what layouts of patches alone can do, with variety
const STARTS = ["symmetric", "start-scale"]; // what takes one photograph, of which pictures of coordinates have none
const SIZES = [[3840, 2160], [7680, 4320], [15360, 8640], [100000, 60000]];

export class Controls {
  #form;
  #fields;
  #sources;
  #limits;
  #canvas = null;
  #change;

  /** `change(canvas)` is called with what is asked for. */
  constructor(form, { sources, limits }, change) {
    this.#form = form;
    this.#fields = form.elements;
    this.#sources = new Map(sources.map((source) => [source.name, source]));
    this.#limits = limits;
    this.#change = change;
    for (const { name } of sources) this.#fields.source.append(new Option(name, name));
    this.#fields.source.closest(".field").hidden = sources.length < 2;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", ({ target }) => this.#changed(target));
    this.#fields.variety.addEventListener("input", () => this.#showVariety());
    form.querySelector("#random").addEventListener("click", () => this.#random());
  }

  /** The canvas that is shown before anybody has asked for one. */
  usual() {
    const [first] = this.#sources.values();
    return first ? { source: first.name, ...first.default, seed: 0n, options: {} } : null;
  }

  /** Fill the fields in. */
  show(canvas) {
    this.#canvas = canvas;
    const fields = this.#fields;
    const { options } = canvas;
    fields.source.value = canvas.source;
    fields.seed.value = canvas.seed;
    fields.width.value = canvas.width;
    fields.height.value = canvas.height;
    const preset = SIZES.findIndex(([width, height]) => width === canvas.width && height === canvas.height);
    fields.preset.value = preset < 0 ? "" : SIZES[preset].join("x");
    fields.retarget.checked = Boolean(options.retarget);
    for (const key of OPTIONS.filter((one) => one !== "retarget")) {
      fields[key].value = options[key] ?? usual(key, options) ?? "";
    }
    for (const field of fields) field.setCustomValidity?.("");
    this.#offer();
    this.#showVariety();
  }

  /** Offer what the source allows. */
  #offer() {
    const fields = this.#fields;
    const source = this.#sources.get(this.#canvas.source);
    if (!source) return;
    for (const [name, offered] of [["structure", source.structures], ["detail", source.detail]]) {
      for (const option of fields[name].options) option.disabled = ![...offered, "auto"].includes(option.value);
      fields[name].closest(".field").hidden = offered.length < 2;
    }
    const isOfPatches = this.#isOfPatches(this.#canvas.options);
    for (const name of PATCHES) fields[name].disabled = !isOfPatches;
    fields.variety.disabled = !isOfPatches && !this.#canvas.options["start-scale"];
    for (const name of STARTS) fields[name].disabled = source.structures.includes("coordinates");
    fields.tileable.disabled ||= this.#canvas.options.detail === "network" || Boolean(this.#canvas.options.retarget);
    this.#form.querySelector("#patches-only").hidden = isOfPatches;
  }

  /** Whether structures are made of patches: of a bundle's network, if there is one, unless somebody says. */
  #isOfPatches(options) {
    const source = this.#sources.get(this.#canvas.source);
    if (options.structure === "patches") return true;
    return !source?.structures.some((one) => one === "network" || one === "coordinates");
  }

  #showVariety() {
    const { value } = this.#fields.variety;
    this.#form.querySelector("#variety-said").value = Number(value).toFixed(2);
  }

  #changed(field) {
    if (field.name === "preset") {
      if (!field.value) return;
      [this.#fields.width.value, this.#fields.height.value] = field.value.split("x");
    }
    const seed = this.#fields.seed;
    const isSeed = /^\d{1,20}$/.test(seed.value) && BigInt(seed.value) <= LAST_SEED;
    seed.setCustomValidity(isSeed ? "" : "A seed is a whole number from 0 to 18446744073709551615.");
    for (const name of ["width", "height"]) this.#fields[name].max = this.#limits.side;
    if (!this.#form.reportValidity()) return;
    this.#change(this.#asked(field));
  }

  /** What the fields say, without what a source or a kind of structure cannot do. */
  #asked(changed) {
    const fields = this.#fields;
    const options = {};
    for (const key of OPTIONS.filter((one) => one !== "retarget")) {
      const { value, type } = fields[key];
      if (value !== "") options[key] = type === "select-one" ? value : String(Number(value));
    }
    if (fields.retarget.checked) options.retarget = "1";
    const before = this.#canvas.options;
    const isNewDefault = (key) => !(key in before) && options[key] === usual(key, before);
    // What nobody has set follows its default, which depends on the others.
    for (const key of ["variety", "vertical"]) if (changed.name !== key && isNewDefault(key)) delete options[key];
    if (options.retarget || options.detail === "network") delete options.tileable;
    const source = this.#sources.get(fields.source.value) ?? [...this.#sources.values()][0];
    const canvas = {
      source: source.name,
      width: Number(fields.width.value),
      height: Number(fields.height.value),
      seed: BigInt(fields.seed.value),
      options,
    };
    this.#canvas = canvas;
    for (const [name, offered] of [["structure", source.structures], ["detail", source.detail]]) {
      if (!offered.includes(options[name])) delete options[name];
    }
    if (source.structures.includes("coordinates")) for (const key of STARTS) delete options[key];
    if (!this.#isOfPatches(options)) {
      for (const key of PATCHES) delete options[key];
      if (!options["start-scale"]) delete options.variety;
    }
    return canvas;
  }

  #random() {
    const [number] = crypto.getRandomValues(new Uint32Array(1));
    this.#change({ ...this.#canvas, seed: BigInt(number % 1_000_000) });
  }
}

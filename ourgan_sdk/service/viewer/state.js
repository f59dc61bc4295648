/**
 * What is shown, and the link that holds all of it:
 *
 *   #canvas=canyon~100000x60000~7~extent=2&at=50000,30000,12.5&select=100,200,4000,3000
 *
 * `canvas` is the service's own identifier of a picture; `at` the middle of the view, in pixels of the picture,
 * and the scale in percent (100: a pixel of the picture is one of the screen); `select` the chosen rectangle.
 */

/** What may follow a seed in an identifier, in the order that the service has. */
export const OPTIONS = [
  "extent", "variety", "vertical", "tileable", "symmetric", "retarget", "start-scale", "structure", "detail",
];

export const LAST_SEED = (1n << 64n) - 1n;

const SOURCE = /^[A-Za-z0-9._-]{1,100}$/;
const SIZE = /^([1-9]\d{0,9})x([1-9]\d{0,9})$/;
const SEED = /^(0|[1-9]\d{0,19})$/;

/** The canvas that `text` names, as {source, width, height, seed, options}, or null. Seeds are BigInts. */
export function parseCanvas(text) {
  const [source, size, seed, ...rest] = text.split("~");
  const sides = SIZE.exec(size ?? "");
  if (!SOURCE.test(source) || !sides || !SEED.test(seed ?? "") || BigInt(seed) > LAST_SEED) return null;
  const options = {};
  for (const part of rest) {
    const [key, value, ...more] = part.split("=");
    if (!OPTIONS.includes(key) || key in options || !value || more.length) return null;
    options[key] = value;
  }
  return { source, width: Number(sides[1]), height: Number(sides[2]), seed: BigInt(seed), options };
}

/** The identifier of a canvas, without options that say what is so anyhow. */
export function formatCanvas({ source, width, height, seed, options }) {
  const said = OPTIONS.filter((key) => options[key] && options[key] !== usual(key, options));
  return [source, `${width}x${height}`, seed, ...said.map((key) => `${key}=${options[key]}`)].join("~");
}

/** What an option is where nobody says; null where it depends on the source. */
export function usual(key, options) {
  if (key === "variety") return options.retarget ? "0" : "0.5";
  if (key === "vertical") return ["y", "both"].includes(options.tileable) ? "0" : "1";
  return key === "structure" || key === "detail" ? "auto" : null;
}

/** The canvas with another seed, so many further; at either end they begin anew. */
export function furtherSeed(canvas, steps) {
  return { ...canvas, seed: BigInt.asUintN(64, canvas.seed + BigInt(steps)) };
}

/** What a link holds: {canvas, at, select}, each null where it says nothing that can be read. */
export function parseLink(hash) {
  const parts = new Map();
  for (const part of hash.replace(/^#/, "").split("&")) {
    const end = part.indexOf("=");
    if (end > 0) parts.set(part.slice(0, end), decode(part.slice(end + 1)));
  }
  const at = numbers(parts.get("at"), 3);
  const select = numbers(parts.get("select"), 4);
  return {
    canvas: parseCanvas(parts.get("canvas") ?? ""),
    at: at && at[2] > 0 ? { x: at[0], y: at[1], scale: at[2] / 100 } : null,
    select: select && select[2] >= 1 && select[3] >= 1
      ? { x: select[0], y: select[1], width: select[2], height: select[3] } : null,
  };
}

/** The link's part from `#` on. */
export function formatLink({ canvas, at, select }) {
  let link = `#canvas=${formatCanvas(canvas)}`;
  if (at) link += `&at=${Math.round(at.x)},${Math.round(at.y)},${Number((at.scale * 100).toPrecision(5))}`;
  if (select) link += `&select=${[select.x, select.y, select.width, select.height].join(",")}`;
  return link;
}

/**
 * How many times networks enlarge by 4 to make a canvas of a source, as the service lists it; null where they make
 * all of it. It is the library's own rule: a photograph is enlarged up to 1.5 times, and up to two lie side by side.
 */
export function passes({ width, height, options }, source) {
  if (options.detail === "network" || !source.detail.includes("photograph")) return null;
  const most = 1.5 * Math.max(source.width, source.height) * (Number(options.extent) || 2);
  let count = 0;
  while (Math.ceil(Math.max(width, height) / 4 ** count) > most) count += 1;
  return count;
}

/** The part of `rectangle` within a picture, in whole pixels, at least one. */
export function within(rectangle, { width, height }) {
  const clamp = (value, least, most) => Math.min(Math.max(Math.round(value), least), most);
  const x = clamp(rectangle.x, 0, width - 1);
  const y = clamp(rectangle.y, 0, height - 1);
  return {
    x,
    y,
    width: clamp(rectangle.x + rectangle.width, x + 1, width) - x,
    height: clamp(rectangle.y + rectangle.height, y + 1, height) - y,
  };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray %
  }
}

function numbers(text, count) {
  const values = (text ?? "").split(",");
  const good = values.length === count && values.every((value) => /^\d{1,10}(\.\d{1,12})?$/.test(value));
  return good ? values.map(Number) : null;
}

/** What one is told: where one is, what is waited for, what went wrong. */

import { count, sentence } from "./words.js";

const PATIENCE = 300; // milliseconds before one is told what is waited for
const PASSING = 4000; // milliseconds

const $ = (id) => document.getElementById(id);

let patience = null;

export function tellPhase(picture) {
  document.body.dataset.phase = picture.phase;
  clearTimeout(patience);
  const say = { composing: "Composing the picture …", loading: "Loading …" }[picture.phase] ?? "";
  if (!say) {
    $("phase").textContent = "";
    return;
  }
  const started = performance.now();
  patience = setTimeout(function tell() {
    const seconds = Math.floor((performance.now() - started) / 1000);
    const isLong = picture.phase === "composing" && seconds >= 2;
    $("phase").textContent = isLong ? `${say} ${seconds} s` : say;
    patience = setTimeout(tell, 1000);
  }, PATIENCE);
  if (picture.phase === "composing") announce("Composing the picture.");
}

export function tellPlace({ at, canvas }) {
  if (!at || !canvas) return;
  const percent = at.scale * 100;
  $("scale").textContent = `${percent < 10 ? percent.toPrecision(2) : Math.round(percent)} %`;
  $("place").textContent = `${count(at.x)}, ${count(at.y)}`;
  $("size").textContent = `${count(canvas.width)} × ${count(canvas.height)}`;
}

export function tellCondition(server) {
  document.body.dataset.server = server.condition;
  $("banner").hidden = server.condition !== "gone";
  $("busy").hidden = server.condition !== "busy";
  if (server.condition === "well") announce("The server answers.");
}

/** Say something that does not go away by itself; an empty text takes it away. */
export function notice(text) {
  $("notice").hidden = !text;
  $("notice-text").textContent = text && sentence(text);
}

let forgetting = null;

/** Say something in passing. */
export function announce(text) {
  $("toast").textContent = text;
  clearTimeout(forgetting);
  forgetting = setTimeout(() => ($("toast").textContent = ""), PASSING);
}

$("notice-close").addEventListener("click", () => notice(""));

/** What one is told: where one is, what is waited for, what went wrong. */

import { count, sentence } from "./words.js";

const PATIENCE = 300; // milliseconds before one is told what is waited for
const PASSING = 4000; // milliseconds

const $ = (id) => document.getElementById(id);

const PHASES = { composing: "Composing the picture …", loading: "Loading …" };

let patience = null;

/** What is waited for, once it takes long enough to be noticed. */
export function tellPhase({ phase }) {
  document.body.dataset.phase = phase;
  clearTimeout(patience);
  $("phase").textContent = "";
  if (phase === "drawn" && $("spoken").textContent) $("spoken").textContent = "The picture is there.";
  if (!(phase in PHASES)) return;
  const started = performance.now();
  patience = setTimeout(function tell() {
    const seconds = Math.floor((performance.now() - started) / 1000);
    $("phase").textContent = seconds < 2 ? PHASES[phase] : `${PHASES[phase]} ${seconds} s`;
    if (phase === "composing") $("spoken").textContent = PHASES[phase];
    patience = setTimeout(tell, 1000);
  }, PATIENCE);
}

/** Where one is, and who made what is seen there; `enlarged` says how often networks enlarge: see `passes`. */
export function tellPlace({ at, canvas, reduction }, enlarged) {
  if (!at || !canvas) return;
  const percent = at.scale * 100;
  $("scale").textContent = `${percent < 10 ? percent.toPrecision(2) : Math.round(percent)} %`;
  $("place").textContent = `${count(at.x)}, ${count(at.y)}`;
  $("size").textContent = `${count(canvas.width)} × ${count(canvas.height)}`;
  const times = enlarged === null ? 0 : Math.max(enlarged - Math.ceil(Math.log2(reduction) / 2), 0);
  const enlargement = `the photograph’s, enlarged ${4 ** times} × by networks`;
  const photographed = times ? enlargement : "the photograph’s pixels";
  $("made").textContent = enlarged === null ? "made by networks" : photographed;
}

/** How the server is. */
export function tellCondition({ condition }) {
  if (!$("banner").hidden && condition !== "gone") announce("The server answers again.");
  $("banner").hidden = condition !== "gone";
  $("busy").hidden = condition !== "busy";
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

$("notice-close").addEventListener("click", () => {
  notice("");
  $("picture").focus();
});

/** The page: what belongs together, and who hears of what. */

import { Controls } from "./controls.js";
import { Overview } from "./overview.js";
import { announce, notice, tellCondition, tellPhase, tellPlace } from "./messages.js";
import { arrange, closePanel, NARROW, openPanel } from "./panel.js";
import { Picture } from "./picture.js";
import { Renders } from "./renders.js";
import { SaveForm } from "./save.js";
import { Seeds } from "./seeds.js";
import { Selection } from "./select.js";
import { Server } from "./server.js";
import { formatCanvas, formatLink, furtherSeed, parseLink, passes } from "./state.js";
import { offerThemes } from "./theme.js";

const $ = (id) => document.getElementById(id);

async function begin() {
  offerThemes($("theme"));
  if (!globalThis.OpenSeadragon) {
    notice("A part of the viewer is missing: run \"make viewer\" in the checkout, and load this page again.");
    return;
  }
  const server = new Server();
  server.addEventListener("change", () => tellCondition(server));
  try {
    page(server, await server.json("api/sources"));
  } catch (error) {
    notice(error.message);
  }
}

/** Everything, once it is known what there is to see. */
function page(server, offered) {
  if (!offered.sources.length) {
    notice("There is nothing to show: this service has no photographs and no bundles.");
    return;
  }
  const picture = new Picture($("picture"), server);
  const selection = new Selection(picture, $("select-layer"), $("selection"));
  const controls = new Controls($("picture-form"), offered, (canvas) => go(canvas));
  const renders = new Renders(server, $("renders"), { announce, notice });
  const form = new SaveForm($("save-form"), picture, selection, offered, (order) => save(renders, order));
  const seeds = new Seeds(server, picture, $("seeds"), (canvas) => go(canvas));
  new Overview(server, picture, $("overview"));

  let wish = null; // the canvas that was asked for last, there or on its way; null once it is refused

  const isWish = (canvas) => wish !== null && formatCanvas(canvas) === formatCanvas(wish);

  /** Show another picture, and let "back" lead here again. */
  function go(canvas) {
    if (isWish(canvas)) return controls.show(canvas);
    const isSameSize = picture.canvas?.width === canvas.width && picture.canvas?.height === canvas.height;
    const link = { canvas, at: isSameSize ? picture.at : null, select: isSameSize ? selection.rectangle : null };
    history.pushState(null, "", formatLink(link));
    notice("");
    return open(link);
  }

  async function open({ canvas, at, select }) {
    wish = canvas;
    controls.show(canvas);
    document.title = `${canvas.source}, seed ${canvas.seed} – ourgan`;
    const isShown = await picture.show(canvas, at);
    if (wish !== canvas) return; // overtaken
    if (!isShown) {
      wish = null;
      return;
    }
    selection.set(select);
    seeds.show(canvas);
    form.refresh();
  }

  /** What the link says, of which the address may have changed any part. */
  function follow() {
    const link = parseLink(location.hash);
    const canvas = link.canvas ?? controls.usual();
    const isReadable = !location.hash || link.canvas;
    notice(isReadable ? "" : "The link names no picture that can be read: here is another.");
    const isThere = isWish(canvas) && wish === picture.canvas;
    if (!isThere) return open({ ...link, canvas });
    if (link.at) picture.at = link.at;
    return selection.set(link.select);
  }

  /** The link says what is shown. */
  function remember() {
    if (!picture.at || (wish && wish !== picture.canvas)) return;
    const link = formatLink({ canvas: picture.canvas, at: picture.at, select: selection.rectangle });
    history.replaceState(history.state, "", link);
  }

  picture.addEventListener("change", () => tellPhase(picture));
  picture.addEventListener("move", () => {
    const source = offered.sources.find(({ name }) => name === picture.canvas?.source);
    if (source) tellPlace(picture, passes(picture.canvas, source));
  });
  picture.addEventListener("rest", remember);
  picture.addEventListener("refused", ({ error }) => notice(error.message));
  selection.addEventListener("change", remember);
  selection.addEventListener("mode", () => {
    $("select").setAttribute("aria-pressed", selection.isDrawing);
    if (selection.isDrawing) announce("Draw a rectangle on the picture.");
    else if (selection.rectangle) openPanel("save");
  });
  addEventListener("popstate", follow);

  const acts = {
    "zoom-in": () => picture.zoom(2),
    "zoom-out": () => picture.zoom(0.5),
    home: () => picture.home(),
    full: () => picture.fullScale(),
    select: () => choose(),
    "seed-next": () => go(furtherSeed(wish ?? picture.canvas, 1)),
    "seed-previous": () => go(furtherSeed(wish ?? picture.canvas, -1)),
    "seeds-next": () => seeds.turn(1),
    "seeds-previous": () => seeds.turn(-1),
    "no-selection": () => {
      selection.set(null);
      $("save-form").querySelector("[name=what]:checked").focus();
    },
    link: () => copyLink(remember),
  };
  for (const [id, act] of Object.entries(acts)) $(id).addEventListener("click", () => picture.canvas && act());

  /** Draw a rectangle; by keyboard there is one at once, to be moved. */
  function choose(isByKey = false) {
    if (!isByKey) return selection.draw(!selection.isDrawing);
    if (!selection.rectangle) selection.chooseMiddle();
    return selection.focus();
  }

  addEventListener("keydown", (event) => {
    if (event.key === "Escape") return escape(selection);
    const isTyping = event.target.closest?.("input, select, textarea, dialog");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !picture.at) return undefined;
    const act = {
      ArrowLeft: () => picture.pan(-0.2, 0),
      ArrowRight: () => picture.pan(0.2, 0),
      ArrowUp: () => picture.pan(0, -0.2),
      ArrowDown: () => picture.pan(0, 0.2),
      "+": acts["zoom-in"],
      "=": acts["zoom-in"],
      "-": acts["zoom-out"],
      0: acts.home,
      1: acts.full,
      n: acts["seed-next"],
      p: acts["seed-previous"],
      s: () => choose(true),
      "?": () => $("help").showModal(),
    }[event.key];
    if (!act) return undefined;
    event.preventDefault();
    return act();
  });
  $("selection").addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault(); // it would press the button
      openPanel("save");
      $("save-form").elements.save.focus();
    }
    if (event.key === "Delete" || event.key === "Backspace") {
      selection.set(null);
      $("picture").focus();
    }
  });
  follow();
}

async function save(renders, order) {
  const button = $("save-form").elements.save;
  button.disabled = true;
  $("save-error").textContent = "";
  try {
    const { name } = await renders.begin(order);
    announce(`${name} is being made.`);
  } catch (error) {
    $("save-error").textContent = error.message;
  }
  button.disabled = false;
}

async function copyLink(remember) {
  remember();
  try {
    await navigator.clipboard.writeText(location.href);
    announce("The link is copied.");
  } catch {
    announce("The link is in the address bar.");
  }
}

function escape(selection) {
  if (selection.isDrawing) selection.draw(false);
  else if (document.activeElement === $("selection")) $("picture").focus();
  else if (NARROW.matches && !$("panel").hidden) closePanel();
}

arrange();
begin();

/** Renders of the service that this page has asked for: how far they are, cancelling, downloading. */

import { duration, fileSize } from "./words.js";

const FINAL = ["done", "failed", "cancelled"];
const KEY = "ourgan-renders";
const LOOK = 2000; // milliseconds between two looks at a render that waits

/** They are remembered until the page is closed, reloading included; only where it was ordered a file comes by itself. */
export class Renders {
  #server;
  #list;
  #tell;
  #ordered = new Set(); // by this page since it was loaded, and not here yet
  #renders = new Map(); // id: {render, item}
  #stream = null; // of one: browsers open six connections to a server, and every stream keeps one
  #timer = null;

  /** `list` is an element for a list of them; `tell` has `announce(sentence)` and, of failures, `notice(sentence)`. */
  constructor(server, list, tell) {
    this.#server = server;
    this.#list = list;
    this.#tell = tell;
    for (const id of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) this.#update({ id, state: "remembered" });
    this.#look();
  }

  /** Ask for one; raises Refused. */
  async begin(order) {
    const headers = { "Content-Type": "application/json" };
    const render = await this.#server.json("api/renders", { method: "POST", headers, body: JSON.stringify(order) });
    this.#ordered.add(render.id);
    this.#update(render);
    this.#follow();
    return render;
  }

  /** Follow the first that is not ended, through its events, and look at the others now and then. */
  #follow() {
    const open = [...this.#renders.values()].filter(({ render }) => !FINAL.includes(render.state));
    const first = open.find(({ render }) => render.state === "rendering") ?? open[0];
    if (this.#stream?.id !== first?.render.id) {
      this.#stream?.close();
      this.#stream = first ? this.#open(first.render.id) : null;
    }
    clearTimeout(this.#timer);
    if (open.length > 1) this.#timer = setTimeout(() => this.#look(), LOOK);
  }

  #open(id) {
    const stream = new EventSource(this.#server.url(`api/renders/${id}/events`));
    stream.addEventListener("render", ({ data }) => {
      this.#update(JSON.parse(data));
      this.#follow();
    });
    stream.addEventListener("error", () => {
      // A server that is gone, or that has forgotten the render: the browser goes on trying after the first alone.
      stream.close();
      this.#stream = null;
      this.#look(id);
    });
    return { id, close: () => stream.close() };
  }

  /** At all that are not ended, or at one. */
  async #look(only = null) {
    for (const { render } of [...this.#renders.values()]) {
      if (FINAL.includes(render.state) && render.name) continue;
      if (only !== null && render.id !== only) continue;
      try {
        this.#update(await this.#server.json(`api/renders/${render.id}`));
      } catch (error) {
        this.#update({ ...render, state: "failed", error: error.message });
      }
    }
    this.#follow();
  }

  #update(render) {
    const known = this.#renders.get(render.id);
    if (!known && render.state === "cancelled") return;
    const item = known?.item ?? this.#item(render.id);
    const before = known?.render.state;
    this.#renders.set(render.id, { render, item });
    this.#draw(render, item);
    this.#remember();
    if (before && before !== "remembered" && before !== render.state && FINAL.includes(render.state)) this.#end(render);
  }

  #end(render) {
    if (render.state === "failed") this.#tell.notice(`${render.name ?? "A file"} could not be saved: ${render.error}`);
    if (render.state !== "done") return;
    this.#tell.announce(`${render.name} is ready.`);
    if (this.#ordered.delete(render.id)) this.#renders.get(render.id).item.querySelector("a").click();
  }

  #item(id) {
    const item = document.querySelector("#render").content.firstElementChild.cloneNode(true);
    item.querySelector("button").addEventListener("click", () => this.#remove(id));
    this.#list.prepend(item);
    return item;
  }

  #draw(render, item) {
    const isOpen = !FINAL.includes(render.state);
    const bar = item.querySelector("progress");
    const link = item.querySelector("a");
    const name = render.name ?? "…";
    item.dataset.state = render.state;
    item.querySelector(".name").textContent = name;
    item.querySelector(".said").textContent = said(render);
    bar.hidden = !isOpen;
    bar.setAttribute("aria-label", name);
    if (render.total) bar.value = render.done / render.total;
    link.hidden = render.state !== "done";
    if (render.file) {
      link.href = this.#server.url(render.file.replace(/^\//, ""));
      link.download = name;
    }
    item.querySelector("button").textContent = isOpen ? "Cancel" : "Remove";
    item.querySelector("button").setAttribute("aria-label", `${isOpen ? "Cancel" : "Remove"} ${name}`);
  }

  async #remove(id) {
    const { item } = this.#renders.get(id);
    this.#renders.delete(id);
    const next = item.nextElementSibling ?? item.previousElementSibling;
    (next?.querySelector("button") ?? document.querySelector("#tab-save")).focus();
    item.remove();
    this.#remember();
    this.#follow();
    try {
      await this.#server.request(`api/renders/${id}`, { method: "DELETE" });
    } catch {
      // the service has forgotten it by itself
    }
  }

  #remember() {
    sessionStorage.setItem(KEY, JSON.stringify([...this.#renders.keys()]));
  }
}

/** How far a render is. */
function said({ state, position, done, total, left, bytes, error }) {
  if (state === "remembered") return "";
  if (state === "queued") return position ? `waits, number ${position}` : "waits";
  if (state === "done") return fileSize(bytes);
  if (state === "failed") return error ?? "failed";
  if (state === "cancelled") return "cancelled";
  const share = total ? `${Math.floor((100 * done) / total)} %` : "begins";
  return left === null || left === undefined ? share : `${share}, ${duration(left)} left`;
}

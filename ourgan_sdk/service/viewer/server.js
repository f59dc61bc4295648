/** The service: requests that wait while it is busy or gone, and errors as the sentences that it says. */

import { sentence } from "./words.js";

const BASE = new URL("../", import.meta.url);
const FIRST_PAUSE = 400; // milliseconds
const LONGEST_PAUSE = 8000;
const BUSY = [429, 502, 503, 504];

/** Raised with what the service says. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Dispatches "change" whenever `condition` changes: "well", "busy" or "gone". */
export class Server extends EventTarget {
  condition = "well";
  #returned = null; // a promise, while it is gone
  #busy = 0; // requests that it has put off

  url(path) {
    return new URL(path, BASE).href;
  }

  /** JSON of the service; raises Refused. */
  async json(path, options = {}) {
    const response = await this.request(path, options);
    return response.json();
  }

  /**
   * A good response, however long it takes: where the service has no room, or does not answer, it is asked
   * again, later and later. Raises Refused for what it refuses for good, AbortError as `options.signal` says.
   */
  async request(path, options = {}) {
    let putOff = false;
    try {
      for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
        const response = await this.#ask(path, options);
        if (response && !BUSY.includes(response.status)) return await accepted(response);
        if (response) {
          if (!putOff) this.#count(1);
          putOff = true;
          const asked = 1000 * Number(response.headers.get("Retry-After") ?? 0);
          const wait = Math.min(Math.max(pause, asked || 0), LONGEST_PAUSE);
          await sleep(wait * (0.75 + Math.random() / 2), options.signal);
        }
      }
    } finally {
      if (putOff) this.#count(-1);
    }
  }

  /** One try; null if it did not answer, after it does again. */
  async #ask(path, options) {
    if (this.#returned) await interruptible(this.#returned, options.signal);
    try {
      return await fetch(this.url(path), options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      this.lost();
      return null;
    }
  }

  /** Told by whoever finds it gone: from now on it is looked for until it answers. */
  lost() {
    this.#returned ??= this.#look().finally(() => {
      this.#returned = null;
      this.#tell();
    });
    this.#tell();
  }

  async #look() {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(1.5 * pause, LONGEST_PAUSE / 2)) {
      await sleep(pause);
      try {
        const response = await fetch(this.url("health"), { cache: "no-store" });
        if (response.ok) return;
      } catch {
        // still gone
      }
    }
  }

  #count(change) {
    this.#busy += change;
    this.#tell();
  }

  #tell() {
    const condition = this.#returned ? "gone" : this.#busy ? "busy" : "well";
    if (condition === this.condition) return;
    this.condition = condition;
    this.dispatchEvent(new Event("change"));
  }
}

async function accepted(response) {
  if (response.ok) return response;
  let message = `The server answers ${response.status}.`;
  try {
    message = sentence((await response.json()).error);
  } catch {
    // no JSON: nothing more is known
  }
  throw new Refused(message, response.status);
}

function sleep(milliseconds, signal) {
  return interruptible(new Promise((resolve) => setTimeout(resolve, milliseconds)), signal);
}

/** `promise`, unless `signal` comes first. */
function interruptible(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("no longer wanted", "AbortError"));
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

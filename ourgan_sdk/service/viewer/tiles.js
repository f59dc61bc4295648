/**
 * The tiles that OpenSeadragon asks for: few at a time, those in the middle first, and none that has gone out of
 * sight since, on its way or not. OpenSeadragon's own queue goes in order, and asks for all of them.
 */

const AT_ONCE = 4; // of the six connections that browsers open to one server

/** Dispatches "load" after every tile, and "refused" with `error` for what cannot be had. */
export class Tiles extends EventTarget {
  #server;
  #rank;
  #waiting = new Set();
  #underWay = new Map(); // job: AbortController

  /** `rank(job)` says how soon a job's tile is wanted: the less the sooner; null: no longer. */
  constructor(server, rank) {
    super();
    this.#server = server;
    this.#rank = rank;
  }

  get isIdle() {
    return this.#waiting.size + this.#underWay.size === 0;
  }

  /** A tile source whose tiles come through this queue. */
  serve(source) {
    source.downloadTileStart = (job) => {
      this.#waiting.add(job);
      queueMicrotask(() => this.#startNext()); // OpenSeadragon adds all of a frame before the first one starts
    };
    source.downloadTileAbort = (job) => this.#drop(job);
    return source;
  }

  /** Leave out what is no longer wanted. */
  prune() {
    for (const job of [...this.#waiting, ...this.#underWay.keys()]) {
      if (this.#rank(job) === null) {
        this.#drop(job);
        forget(job);
      }
    }
    this.#startNext();
  }

  #drop(job) {
    this.#waiting.delete(job);
    this.#underWay.get(job)?.abort();
    this.#underWay.delete(job);
  }

  #startNext() {
    while (this.#underWay.size < AT_ONCE && this.#waiting.size) {
      const ranked = [...this.#waiting].map((job) => ({ job, rank: this.#rank(job) ?? Infinity }));
      const { job } = ranked.reduce((best, one) => (one.rank < best.rank ? one : best));
      this.#waiting.delete(job);
      this.#load(job);
    }
  }

  async #load(job) {
    const controller = new AbortController();
    this.#underWay.set(job, controller);
    try {
      const response = await this.#server.request(job.src, { signal: controller.signal });
      const blob = await response.blob();
      if (controller.signal.aborted) return;
      job.finish(blob, null, "rasterBlob");
      this.dispatchEvent(new Event("load"));
    } catch (error) {
      if (controller.signal.aborted) return;
      if (error.status === undefined) {
        forget(job); // the connection broke in the middle of the tile: it will be asked for again
        this.#server.lost();
      } else {
        job.fail(error.message, null);
        this.dispatchEvent(Object.assign(new Event("refused"), { error }));
      }
    } finally {
      if (this.#underWay.get(job) === controller) this.#underWay.delete(job);
      this.#startNext();
    }
  }
}

/** Ended, but not failed: of a tile that failed OpenSeadragon believes that it does not exist. */
function forget(job) {
  clearTimeout(job.jobId);
  job.jobId = null;
  job.tile.loading = false;
}

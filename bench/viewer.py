"""Starts `ourgan view`, and measures in a real Chromium how long one waits for the picture.

python -m bench.viewer PHOTO [PHOTO ...]          the first view of a canvas of 100,000 x 60,000, then jumps
python -m bench.viewer PHOTO --screenshots docs   also photographs the page, for the documents

Browser and service share the machine's cores. A view is there when all of its tiles are drawn, in a window
of 1600 x 1000. Jumps go to random places at random scales, all scales from the whole picture to 100 % being
as likely on a logarithmic axis; by then the strip of seeds has been made. The level that a view shows is told
by its reduction, and by how many network passes its pixels have behind them.
"""

import argparse
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, Playwright, sync_playwright

from ourgan_sdk import Canvas, Synthesizer
from ourgan_sdk.sizes import parse_size

WINDOW = (1600, 1000)
ARGUMENTS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE = 120_000
"""Milliseconds."""

SETTLED = """(done) => new Promise((settled) => {
  const isDrawn = () => document.body?.dataset.phase === "drawn";
  const hasSeeds = () => document.querySelectorAll("#seeds img").length === 8;
  const isDone = done === "seeds" ? hasSeeds : isDrawn;
  const look = () => isDone() ? settled(performance.now()) : setTimeout(look, 4);
  look();
})"""
"""The page's milliseconds when the view is drawn, or all "seeds". (Its CSP forbids `wait_for_function`.)"""

JUMP = """(at) => new Promise((settled) => {
  performance.clearResourceTimings();
  const begun = performance.now();
  history.replaceState(null, "", location.hash.replace(/&at=[^&]*/, "") + `&at=${at}`);
  dispatchEvent(new PopStateEvent("popstate"));
  const look = () => {
    if (document.body.dataset.phase !== "drawn") return requestAnimationFrame(look);
    const tiles = performance.getEntriesByType("resource").filter(({name}) => name.endsWith("/default.jpg"));
    settled([performance.now() - begun, tiles.length]);
  };
  requestAnimationFrame(look);
})"""


@dataclass(frozen=True)
class Jump:
    """To a view whose level is reduced `reduction` times."""

    reduction: int
    milliseconds: float
    tiles: int


def main() -> None:
    """Measure one photograph after the other, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="photographs or bundles")
    add("--size", type=parse_size, default=(100_000, 60_000), help="(default: 100000x60000)")
    add("--jumps", type=int, default=30, help="(default: 30)")
    add("--seed", type=int, default=7, help="of the canvas, and of the jumps (default: 7)")
    add("--browser", default=os.environ.get("OURGAN_BROWSER") or shutil.which("chromium"))
    add(
        "--screenshots",
        type=Path,
        metavar="FOLDER",
        help="for pictures of the page",
    )
    options = parser.parse_args()
    if options.browser is None:
        parser.error("no Chromium is here: name one by --browser")
    with sync_playwright() as playwright:
        for photo in options.photos:
            _measure(playwright, options, photo)
        if options.screenshots is not None:
            _photograph(playwright, options)


def _measure(playwright: Playwright, options: argparse.Namespace, photo: Path) -> None:
    width, height = options.size
    canvas = Synthesizer(photo).canvas(width, height, seed=options.seed)
    with _viewing(photo, options) as address, _browsing(playwright, options, *WINDOW) as page:
        page.goto(address, wait_until="commit")
        first = page.evaluate(SETTLED, "drawn")
        page.evaluate(SETTLED, "seeds")
        places = random.Random(options.seed)
        jumps = [_jump(page, canvas, places) for _ in range(options.jumps)]
    _tell(photo, canvas, first, jumps)


def _jump(page: Page, canvas: Canvas, places: random.Random) -> Jump:
    least = min(WINDOW[0] / canvas.width, WINDOW[1] / canvas.height)
    scale = math.exp(places.uniform(math.log(least), 0.0))
    # So that the view is full of picture, where the scale allows it.
    seen = [min(one / scale, side) for one, side in zip(WINDOW, (canvas.width, canvas.height), strict=True)]
    x = places.uniform(seen[0] / 2, canvas.width - seen[0] / 2)
    y = places.uniform(seen[1] / 2, canvas.height - seen[1] / 2)
    milliseconds, tiles = page.evaluate(JUMP, f"{x:.0f},{y:.0f},{100 * scale:.4f}")
    # The viewer's rule: a level whose pixels are enlarged up to 1.5 times.
    reduction = 1 << max(0, math.ceil(math.log2(0.75 / scale)))
    return Jump(reduction, milliseconds, tiles)


def _tell(photo: Path, canvas: Canvas, first: float, jumps: list[Jump]) -> None:
    passes = canvas._renderer.plan.passes
    median = statistics.median(jump.milliseconds for jump in jumps)
    print(f"{photo.name}, {canvas.width} x {canvas.height}, extent {canvas.extent:.2f}, {passes} passes")
    print(f"  first view, from the page's beginning: {first / 1000:.2f} s")
    print(f"  {len(jumps)} jumps: median {median:.0f} ms")
    by_reduction = defaultdict(list)
    for jump in jumps:
        by_reduction[jump.reduction].append(jump)
    print("  reduced by   jumps   tiles of a jump   median ms   worst ms   pixels by")
    for reduction, those in sorted(by_reduction.items(), reverse=True):
        times = [jump.milliseconds for jump in those]
        tiles = statistics.mean(jump.tiles for jump in those)
        behind = sum(reduction < 4**number for number in range(1, passes + 1))
        maker = f"{behind} network passes" if behind else "the photograph"
        print(
            f"  {reduction:10}   {len(those):5}   {tiles:15.1f}   {statistics.median(times):9.0f}   "
            f"{max(times):8.0f}   {maker}"
        )


def _photograph(playwright: Playwright, options: argparse.Namespace) -> None:
    """The page on a desk, in the dark with a rectangle to be saved, and on a phone."""
    folder: Path = options.screenshots
    folder.mkdir(parents=True, exist_ok=True)
    width, height = options.size
    part = f"{width * 0.43:.0f},{height * 0.4:.0f},{width * 0.16:.0f},{height * 0.18:.0f}"
    near = f"&at={width * 0.5:.0f},{height * 0.5:.0f},{100 * 2.5 * WINDOW[0] / width:.4f}"
    with _viewing(options.photos[0], options) as address:
        with _browsing(playwright, options, *WINDOW) as page:
            _shoot(page, address, folder / "viewer.jpg")
        with _browsing(playwright, options, *WINDOW, color_scheme="dark") as page:
            _shoot(page, f"{address}{near}&select={part}", folder / "viewer-dark.jpg", tab="Save")
        phone = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
        with _browsing(playwright, options, 390, 780, **phone) as page:
            _shoot(page, f"{address}{near}", folder / "viewer-phone.jpg", strip=True)


def _shoot(page: Page, address: str, path: Path, *, tab: str | None = None, strip: bool = False) -> None:
    page.goto(address)
    page.evaluate(SETTLED, "drawn")
    if tab is not None:
        page.get_by_role("tab", name=tab).click()
    if strip:
        page.get_by_label("Seeds", exact=True).first.click()
    else:
        page.evaluate(SETTLED, "seeds")
    page.wait_for_timeout(10_000)  # on a phone not all seeds are in sight
    page.screenshot(path=path, type="jpeg", quality=82)
    print(f"{path}: {path.stat().st_size // 1000} kB")


@contextmanager
def _viewing(photo: Path, options: argparse.Namespace) -> Iterator[str]:
    """`ourgan view` in a process of its own; gives the page's address."""
    width, height = options.size
    command = [sys.executable, "-m", "ourgan_sdk.cli", "view", str(photo), "--no-browser"]
    command += ["--size", f"{width}x{height}", "--seed", str(options.seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _browsing(
    playwright: Playwright, options: argparse.Namespace, width: int, height: int, **context: object
) -> Iterator[Page]:
    """A page of a browser that has seen nothing yet."""
    with tempfile.TemporaryDirectory() as profile:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=options.browser,
            args=ARGUMENTS,
            viewport={"width": width, "height": height},
            **context,  # type: ignore[arg-type]
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


if __name__ == "__main__":
    main()

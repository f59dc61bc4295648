"""The viewer in a real browser: moving, zooming, seeds, links, saving a rectangle, and what goes wrong."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import CDPSession, Error, Page, Route, expect

from ourgan_sdk import Canvas, Synthesizer

from .conftest import CANVAS, EXTENT, SIZE, Viewer, link_of, wait_until_drawn

Open = Callable[..., Page]

FULL = f"#canvas={CANVAS}&at=750,600,100"
"""Ground, which has texture, at 100 %."""


@pytest.fixture(scope="module")
def canvas(photograph_path: Path) -> Canvas:
    """What the page shows."""
    synthesizer = Synthesizer(photograph_path, engine="onnxruntime", structure="patches")
    return synthesizer.canvas(*SIZE, seed=7, extent=EXTENT)


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


def test_shows_the_pixels_of_the_canvas(open_page: Open, canvas: Canvas, tmp_path: Path) -> None:
    """At 100 % a pixel of the picture is one of the screen."""
    page = open_page(FULL)
    expect(page.locator("#scale")).to_have_text("100 %")
    clip = {"x": 400, "y": 400, "width": 200, "height": 150}
    page.screenshot(path=tmp_path / "screen.png", clip=clip)
    seen = np.asarray(Image.open(tmp_path / "screen.png").convert("RGB")).astype(int)
    wanted = canvas[650:800, 650:850].astype(int)
    difference = np.abs(seen - wanted).mean()  # a pixel beside it, it is twice as large
    assert difference < 10  # JPEG, of noise
    assert np.abs(seen - np.roll(wanted, 1, axis=1)).mean() > 1.5 * difference


def test_all_of_it_comes_first(open_page: Open) -> None:
    page = open_page()
    x, y, percent = link_of(page)["at"]
    assert (x, y) == (750, 500)
    assert percent == pytest.approx(100 * 1000 / 1500, rel=0.01)
    assert page.title() == "photograph, seed 7 \u2013 ourgan"


def test_moves_and_zooms_by_mouse(open_page: Open) -> None:
    page = open_page(FULL)
    drag(page, (600, 300), (500, 260))
    wait_until_drawn(page)
    x, y, percent = link_of(page)["at"]
    assert (x, y) == pytest.approx((850, 640), abs=12)
    page.mouse.wheel(0, -200)
    expect(page.locator("#scale")).not_to_have_text("100 %")
    page.wait_for_timeout(700)
    wait_until_drawn(page)
    assert link_of(page)["at"][2] > percent


def test_moves_and_zooms_by_keys(open_page: Open) -> None:
    page = open_page(FULL, reduced_motion="reduce")
    keyboard = page.keyboard
    keyboard.press("ArrowRight")
    keyboard.press("ArrowUp")
    assert link_of(page)["at"] == [950, 460, 100]
    keyboard.press("+")
    assert link_of(page)["at"][2] == 200
    keyboard.press("+")
    keyboard.press("-")
    keyboard.press("-")
    assert link_of(page)["at"] == [950, 460, 100]
    keyboard.press("-")
    keyboard.press("1")
    assert link_of(page)["at"][2] == 100
    keyboard.press("0")
    assert link_of(page)["at"][:2] == [750, 500]
    keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_another_seed_is_another_picture_at_the_same_place(open_page: Open) -> None:
    page = open_page(FULL)
    before = page.locator("#picture").screenshot()
    page.keyboard.press("n")
    wait_until_drawn(page)
    link = link_of(page)
    assert link["canvas"] == CANVAS.replace("~7~", "~8~")
    assert link["at"] == [750, 600, 100]
    assert page.locator("#picture").screenshot() != before
    expect(page.get_by_label("Seed", exact=True)).to_have_value("8")
    page.keyboard.press("p")
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == CANVAS
    page.go_back()
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == CANVAS.replace("~7~", "~8~")


def test_seeds_are_shown_and_chosen(open_page: Open) -> None:
    page = open_page(viewport={"width": 1500, "height": 800})
    strip = page.locator("#seeds")
    expect(strip.locator("img")).to_have_count(8)
    expect(strip.locator("[aria-current]")).to_have_text("7")
    page.get_by_label("Further seeds").click()
    expect(strip.locator("button").first).to_have_text("8")
    page.get_by_label("Seed 10", exact=True).click()
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == CANVAS.replace("~7~", "~10~")
    expect(strip.locator("[aria-current]")).to_have_text("10")


def test_the_link_holds_everything(open_page: Open) -> None:
    canvas = (
        "photograph~2048x1536~18446744073709551615~extent=1.5~variety=0.3~vertical=0.5~tileable=x~symmetric=y"
        "~structure=patches~detail=photograph"
    )
    link = f"#canvas={canvas}&at=1000,700,80&select=100,200,300,250"
    page = open_page(link)
    assert link_of(page) == {"canvas": canvas, "at": [1000, 700, 80], "select": [100, 200, 300, 250]}
    fields = {"Seed": "18446744073709551615", "Width": "2048", "Height": "1536", "Variety": "0.3"}
    for label, value in fields.items():
        expect(page.locator("#picture-form").get_by_label(label).first).to_have_value(value)
    expect(page.locator("#tileable")).to_have_value("x")
    expect(page.locator("#detail")).to_have_value("photograph")
    page.reload()
    wait_until_drawn(page)
    assert link_of(page) == {"canvas": canvas, "at": [1000, 700, 80], "select": [100, 200, 300, 250]}


def test_fields_change_the_picture(open_page: Open) -> None:
    page = open_page()
    page.locator("#structure").select_option("network")
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == "photograph~1500x1000~7~extent=1.5~structure=network"
    expect(page.locator("#variety")).to_be_disabled()  # of patches alone
    page.locator("#structure").select_option("patches")
    page.locator("#variety").fill("0.2")
    page.locator("#extent").fill("")
    page.get_by_label("Width").first.fill("1200")
    page.get_by_label("Width").first.press("Enter")
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == "photograph~1200x1000~7~variety=0.2~structure=patches"
    page.get_by_label("Usual sizes").select_option("3840x2160")
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == "photograph~3840x2160~7~variety=0.2~structure=patches"


def test_saves_the_rectangle_that_was_drawn(open_page: Open, canvas: Canvas, tmp_path: Path) -> None:
    page = open_page(FULL)
    page.get_by_label("Select a rectangle").click()
    drag(page, (420, 200), (620, 320))
    assert link_of(page)["select"] == [670, 450, 200, 120]
    expect(page.locator("#save-form")).to_contain_text("200 \u00d7 120 pixels")
    with page.expect_download() as started:
        page.get_by_role("button", name="Save", exact=True).click()
    assert started.value.suggested_filename.endswith(".png")
    started.value.save_as(tmp_path / "part.png")
    saved = np.asarray(Image.open(tmp_path / "part.png"))
    np.testing.assert_array_equal(saved, canvas[450:570, 670:870])
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    page.get_by_label("Scale in percent").fill("50")
    page.locator("#format").select_option("webp")
    with page.expect_download() as started:
        page.get_by_role("button", name="Save", exact=True).click()
    started.value.save_as(tmp_path / "half.webp")
    with Image.open(tmp_path / "half.webp") as half:
        assert half.size == (100, 60)


def test_chooses_by_keys(open_page: Open) -> None:
    page = open_page(FULL, reduced_motion="reduce")
    page.keyboard.press("s")
    assert link_of(page)["select"] == [500, 425, 500, 350]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("Shift+ArrowLeft")
    assert link_of(page)["select"] == [516, 426, 484, 350]
    assert "484 by 350" in (page.locator("#selection").get_attribute("aria-label") or "")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_focused()
    page.locator("#selection").focus()
    page.keyboard.press("Delete")
    assert "select" not in link_of(page)
    expect(page.locator("#picture")).to_be_focused()
    page.wait_for_timeout(300)
    expect(page.locator("#renders li")).to_have_count(0)  # Enter alone saves nothing


def test_a_render_is_watched_and_cancelled(open_page: Open, viewer: Viewer) -> None:
    page = open_page()
    page.get_by_role("tab", name="Save").click()
    page.get_by_label("Scale in percent").fill("1000")
    page.locator("#format").select_option("tif")
    page.get_by_role("button", name="Save", exact=True).click()
    item = page.locator("#renders li")
    expect(item).to_have_attribute("data-state", "rendering")
    expect(item.locator("progress")).to_be_visible()
    page.reload()  # it is remembered
    expect(item).to_have_attribute("data-state", "rendering")
    page.get_by_role("tab", name="Save").click()
    item.get_by_role("button", name="Cancel").click()
    expect(item).to_have_count(0)
    for _ in range(100):
        renders = httpx.get(f"{viewer.url}/api/renders").json()["renders"]
        states = {one["state"] for one in renders if one["name"].endswith(".tif")}
        if not states:
            break
        page.wait_for_timeout(100)
    assert states == set()


def test_says_what_cannot_be_saved(open_page: Open) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=422, json={"error": "a render has at most 7 pixels here"})

    page = open_page(prepare=lambda page: page.route("**/api/renders", refuse))
    page.get_by_role("tab", name="Save").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#save-error")).to_have_text("A render has at most 7 pixels here.")


def test_a_busy_server_is_asked_again(open_page: Open) -> None:
    asked: list[str] = []

    def refuse_at_first(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 6:
            return route.continue_()
        return route.fulfill(status=503, headers={"Retry-After": "1"}, json={"error": "no room"})

    page = open_page(drawn=False, prepare=lambda page: page.route("**/iiif/**/default.jpg", refuse_at_first))
    expect(page.locator("#busy")).to_be_visible()
    wait_until_drawn(page)
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#notice")).to_be_hidden()
    assert len(asked) > len(set(asked))


def test_a_dead_server_is_waited_for(open_page: Open, photograph_path: Path) -> None:
    own = Viewer(photograph_path)
    try:
        page = open_page("", drawn=False)
        page.goto(own.page)
        wait_until_drawn(page)
        own.kill()
        page.keyboard.press("n")
        expect(page.locator("#banner")).to_be_visible()
        expect(page.locator("#banner")).to_contain_text("The server does not answer")
        own.start()
        expect(page.locator("#banner")).to_be_hidden()
        wait_until_drawn(page)
        assert link_of(page)["canvas"] == CANVAS.replace("~7~", "~8~")
    finally:
        assert own.end() == 0


def test_errors_are_sentences(open_page: Open) -> None:
    page = open_page("#canvas=nothing~600x400~1", drawn=False)
    expect(page.locator("#notice-text")).to_contain_text("There is no source 'nothing' here")
    page.get_by_label("Close this message").click()
    expect(page.locator("#notice")).to_be_hidden()
    page.get_by_label("Seed", exact=True).fill("5")
    page.get_by_label("Seed", exact=True).press("Enter")
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == "photograph~600x400~5"
    nothing = {"sources": [], "limits": {}, "formats": [], "canvas": {}}
    page = open_page(
        drawn=False,
        prepare=lambda page: page.route("**/api/sources", lambda route: route.fulfill(json=nothing)),
    )
    expect(page.locator("#notice-text")).to_contain_text("There is nothing to show")


def test_the_last_wish_wins(open_page: Open) -> None:
    """Back, or a click on what is shown, while another picture is on its way."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = open_page(FULL, prepare=lambda page: page.route("**/*~8~*/info.json", hold))
    page.keyboard.press("n")
    expect(page.locator("body")).to_have_attribute("data-phase", "composing")
    page.go_back()
    wait_until_drawn(page)
    release(page, held)
    assert link_of(page) == {"canvas": CANVAS, "at": [750, 600, 100]}
    expect(page.get_by_label("Seed", exact=True)).to_have_value("7")
    page.keyboard.press("n")
    expect(page.locator("body")).to_have_attribute("data-phase", "composing")
    page.get_by_label("Seed 7", exact=True).click()
    wait_until_drawn(page)
    release(page, held)
    assert link_of(page)["canvas"] == CANVAS
    page.keyboard.press("n")
    page.keyboard.press("n")
    wait_until_drawn(page)
    assert link_of(page)["canvas"] == CANVAS.replace("~7~", "~9~")


def release(page: Page, held: list[Route]) -> None:
    """Answer what was held; it must not matter any more."""
    for route in held:
        with suppress(Error):  # the page has given it up
            route.continue_()
    held.clear()
    page.wait_for_timeout(300)
    wait_until_drawn(page)


def test_a_file_is_downloaded_once(open_page: Open) -> None:
    """After a reload it is in the list, with a link."""
    page = open_page(FULL + "&select=700,500,9,9")
    downloads: list[str] = []
    page.on("download", lambda download: downloads.append(download.suggested_filename))
    page.get_by_role("tab", name="Save").click()
    with page.expect_download():
        page.get_by_role("button", name="Save", exact=True).click()
    for _ in range(2):
        page.reload()
        expect(page.locator("#renders li")).to_have_attribute("data-state", "done")
        page.get_by_role("tab", name="Save").click()
        expect(page.get_by_role("link", name="Download")).to_be_visible()
        expect(page.locator("#toast")).to_be_empty()
    page.wait_for_timeout(300)
    assert len(downloads) == 1


def test_a_link_that_cannot_be_read_is_said_to_be(open_page: Open) -> None:
    page = open_page("#canvas=photograph~0x0~-1")
    expect(page.locator("#notice-text")).to_contain_text("The link names no picture that can be read")
    assert link_of(page)["canvas"] == "photograph~1000x640~0"
    page.keyboard.press("n")
    expect(page.locator("#notice")).to_be_hidden()


def test_what_a_server_refuses_is_said_and_not_asked_again(open_page: Open) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=422, json={"error": "this view is too much work"})

    page = open_page(drawn=False, prepare=lambda page: page.route("**/iiif/**/default.jpg", refuse))
    expect(page.locator("#notice-text")).to_have_text("This view is too much work.")
    page.wait_for_timeout(1500)
    assert max(Counter(asked).values()) <= 2  # a coarser tile that was left out may be wanted after all


def test_without_openseadragon_it_says_what_brings_it(open_page: Open) -> None:
    page = open_page(
        drawn=False,
        prepare=lambda page: page.route("**/openseadragon.min.js", lambda route: route.fulfill(status=404)),
    )
    expect(page.locator("#notice-text")).to_contain_text("make viewer")


def touch(session: CDPSession, kind: str, *points: tuple[int, int]) -> None:
    session.send(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
    )


def test_on_a_narrow_phone(open_page: Open) -> None:
    """At 320 pixels all tools are within reach, and what is said covers no field."""
    page = open_page(viewport={"width": 320, "height": 568}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for button in page.locator("#tools button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 320
    page.get_by_label("Copy the link").tap()
    page.get_by_label("Settings").first.tap()
    toast, panel = page.locator("#toast").bounding_box(), page.locator("#panel").bounding_box()
    assert toast is not None
    assert panel is not None
    assert toast["height"] > 20
    assert toast["y"] + toast["height"] <= panel["y"]


def test_on_a_phone(open_page: Open) -> None:
    """At 360 pixels: nothing hangs over, the panel is a sheet, a finger draws a rectangle."""
    page = open_page(viewport={"width": 360, "height": 720}, has_touch=True, is_mobile=True)
    expect(page.locator("#panel")).to_be_hidden()
    page.get_by_label("Settings").first.tap()
    panel = page.locator("#panel").bounding_box()
    assert panel is not None
    assert (panel["x"], panel["width"]) == (0, 360)
    assert panel["y"] > 200
    assert panel["y"] + panel["height"] == pytest.approx(720, abs=1)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_label("Close settings").tap()
    page.get_by_label("Select a rectangle").tap()
    session = page.context.new_cdp_session(page)
    touch(session, "touchStart", (60, 300))
    touch(session, "touchMove", (150, 340))
    touch(session, "touchMove", (200, 380))
    touch(session, "touchEnd")
    select = link_of(page)["select"]
    assert select[2] == pytest.approx(140 / 360 * 1500, rel=0.05)
    expect(page.locator("#save-form")).to_be_visible()


CONTRASTS = """() => {
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const color = text => text.match(/[\\d.]+/g).map(Number);
  const ground = element => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = color(getComputedStyle(one).backgroundColor);
      if (a > 0.9) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const isText = [...element.childNodes].some(one => one.nodeType === 3 && one.textContent.trim());
    if (!isText || !element.checkVisibility() || element.closest(".unseen, option, :disabled")) continue;
    const [a, b] = [luminance(color(getComputedStyle(element).color)), luminance(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([element.textContent.trim().slice(0, 40), ratio]);
  }
  return poor;
}"""

NAMELESS = """() => [...document.querySelectorAll("button, input, select, a[href], [role=application]")]
  .filter(one => one.checkVisibility())
  .filter(one => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
  .map(one => one.outerHTML)"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_is_readable_and_named(open_page: Open, theme: str) -> None:
    page = open_page(color_scheme=theme)
    page.locator("summary").click()
    for tab in ("Picture", "Save"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate(CONTRASTS) == []
        assert page.evaluate(NAMELESS) == []


def test_dark_as_the_system_or_as_one_chooses(open_page: Open) -> None:
    page = open_page(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    assert page.evaluate(ground) < 40
    page.get_by_label("Light appearance").click()
    assert page.evaluate(ground) > 200
    page.reload()
    wait_until_drawn(page)
    assert page.evaluate(ground) > 200
    expect(page.get_by_label("Dark appearance")).to_be_visible()


def test_what_has_the_focus_is_seen(open_page: Open) -> None:
    page = open_page()
    for _ in range(6):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])"
            "(getComputedStyle(document.activeElement))"
        )
        assert style == ["solid", "3px"]


def test_no_script_of_others_and_none_inline(viewer: Viewer) -> None:
    """The page is the service's alone, and says so to the browser."""
    answer = httpx.get(f"{viewer.url}/view/")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert json.loads(httpx.get(f"{viewer.url}/api/sources").text)["sources"][0]["name"] == "photograph"

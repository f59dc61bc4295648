"""A real browser, and `ourgan view` in a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from ourgan_sdk.cli.view import _LIBRARY

SIZE = (1500, 1000)
EXTENT = 1.5
CANVAS = f"photograph~{SIZE[0]}x{SIZE[1]}~7~extent={EXTENT}~structure=patches"
"""What the page shows of the tiny bundle: no network has to enlarge it."""

ARGUMENTS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


PATIENCE = 30_000
"""Milliseconds: other tests may take the processors meanwhile."""

expect.set_options(timeout=PATIENCE)


class Viewer:
    """`ourgan view` on the tiny bundle, which can be killed and started anew at the same port."""

    def __init__(self, bundle: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._bundle = bundle
        self.start()

    def start(self) -> None:
        options = [
            "--size",
            f"{SIZE[0]}x{SIZE[1]}",
            "--extent",
            EXTENT,
            "--seed",
            7,
            "--structure",
            "patches",
        ]
        command = [sys.executable, "-m", "ourgan_sdk.cli", "view", self._bundle, *options, "--no-browser"]
        command += ["--port", self._port, "--engine", "onnxruntime"]
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("http"), line
        self.page = line.split()[0]

    @property
    def url(self) -> str:
        return self.page.partition("/view/")[0]

    def kill(self) -> None:
        self.process.kill()
        self._wait()

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self._wait()

    def _wait(self) -> int:
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="package")
def viewer(photograph_path: Path) -> Iterator[Viewer]:
    if not _LIBRARY.is_file():
        pytest.skip("the viewer needs OpenSeadragon: make viewer")
    one = Viewer(photograph_path)
    yield one
    assert one.end() == 0


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """That of OURGAN_BROWSER, which has to start; or Chromium, if there is one."""
    wanted = os.environ.get("OURGAN_BROWSER")
    path = wanted or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is here: install one, or name it by OURGAN_BROWSER")
    with sync_playwright() as playwright:
        try:
            one = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        except Error as error:
            if wanted:
                raise
            pytest.skip(f"{path} does not start: {error.message.splitlines()[0]}")
        yield one
        one.close()


@pytest.fixture
def open_page(browser: Browser, viewer: Viewer) -> Iterator[Callable[..., Page]]:
    """Opens the page, at a link if one is given; no script may fail on it."""
    contexts, errors = [], []

    def open_one(
        link: str = f"#canvas={CANVAS}", *, drawn: bool = True, prepare: Any = None, **context: Any
    ) -> Page:
        context = {"viewport": {"width": 1000, "height": 700}, "accept_downloads": True, **context}
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        if prepare is not None:
            prepare(page)
        page.goto(f"{viewer.url}/view/{link}")
        if drawn:
            wait_until_drawn(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


def wait_until_drawn(page: Page) -> None:
    page.wait_for_selector("body[data-phase=drawn]", state="attached")


RESTED = """() => new Promise((resolve) =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve, 350))))"""
"""By the page's own clock, which is late where the processors are busy: a move is seen in the next frame."""


def link_of(page: Page) -> dict[str, Any]:
    """What the address says, once it says what is seen."""
    page.evaluate(RESTED)
    parts = dict(part.split("=", 1) for part in page.url.partition("#")[2].split("&"))
    return {
        "canvas": parts["canvas"],
        **{key: [float(one) for one in parts[key].split(",")] for key in ("at", "select") if key in parts},
    }

"""A real service on loopback, in a thread of the tests' process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ourgan_sdk import set_limits
from ourgan_sdk.service import Settings
from ourgan_sdk.service.canvases import open_source
from ourgan_sdk.service.server import serve

Start = Callable[..., Any]


@contextmanager
def running(settings: Settings, opener: Callable[..., Any] = open_source) -> Iterator[httpx.Client]:
    """A client of a service that answers; what it was told ends with the block, and nothing is left of it."""
    urls: list[str] = []
    is_ready, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            serve(settings, ready=lambda url: (urls.append(url), is_ready.set()), stop=stop, opener=opener)
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            failures.append(error)
            is_ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert is_ready.wait(30)
        if failures:
            raise failures[0]
        with httpx.Client(base_url=urls[0], timeout=60) as client:
            yield client
    finally:
        stop.set()
        thread.join(30)
        set_limits()
    assert not thread.is_alive()
    assert failures == []


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory, photograph_path: Path, bundle_path: Path) -> Path:
    """What a service serves: a bundle with its photograph, `hills`, and one of networks alone, `networks`."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "hills.ourgan").write_bytes(photograph_path.read_bytes())
    (folder / "networks.ourgan").write_bytes(bundle_path.read_bytes())
    return folder


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts services of that folder, with other settings where asked, until the test ends."""
    with ExitStack() as stack:

        def begin(**changes: Any) -> httpx.Client:
            settings = Settings(**{"folder": folder, "port": 0, "work": tmp_path, "viewer": False} | changes)
            return stack.enter_context(running(settings))

        yield begin


@pytest.fixture(scope="package")
def client(folder: Path) -> Iterator[httpx.Client]:
    """Of one service for all tests that change nothing."""
    with running(Settings(folder=folder, port=0, viewer=False)) as client:
        yield client

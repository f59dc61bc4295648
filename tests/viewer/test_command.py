"""`ourgan view`: what it opens, what it says, how it ends."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ourgan_sdk.cli import main, view
from ourgan_sdk.service import Settings
from tests.tiny import write_photo


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What would be served, and the address that the browser is given."""
    given: dict[str, Any] = {}
    opened = threading.Event()

    def serve(settings: Settings, ready: Callable[[str], None]) -> None:
        given["settings"] = settings
        ready("http://127.0.0.1:4000")
        given["opened"] = opened.wait(5) if given.get("browser", True) else False

    def browse(address: str) -> bool:
        given["address"] = address
        opened.set()
        return True

    library = tmp_path / "openseadragon.min.js"
    library.touch()
    monkeypatch.setattr(view, "_LIBRARY", library)
    monkeypatch.setattr(view, "serve_until_signal", serve)
    monkeypatch.setattr(view.webbrowser, "open", browse)
    return given


def test_opens_the_browser_on_the_canvas(
    served: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = write_photo(tmp_path / "hills.png", 200, 300)
    options = ["--size", "4k", "--seed", "9", "--extent", "2", "--variety", "0.3", "--detail", "network"]
    assert main(["view", str(photo), *options, "--port", "4000", "--memory", "2GiB"]) == 0
    canvas = "hills~3840x2160~9~extent=2~variety=0.3~detail=network"
    assert served["address"] == f"http://127.0.0.1:4000/view/#canvas={canvas}"
    assert served["address"] in capsys.readouterr().out
    settings = served["settings"]
    assert settings.warm == (canvas,)  # is found while the browser starts
    assert dict(settings.sources) == {"hills": photo}
    assert (settings.host, settings.port, settings.memory) == ("127.0.0.1", 4000, 2 << 30)


def test_shows_the_sample_by_default(served: dict[str, Any]) -> None:
    served["browser"] = False
    assert main(["view", "--no-browser"]) == 0
    assert "address" not in served
    assert served["settings"].warm == ("canyon~100000x60000~0",)
    assert served["settings"].port == 0


def test_names_that_links_cannot_have(served: dict[str, Any], tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "my hills ~ 2.png", 200, 300)
    assert main(["view", str(photo)]) == 0
    assert dict(served["settings"].sources) == {"photograph": photo}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg"),
        (["--retarget", "--tileable", "x"], "borders of its own"),
        (["--port", "99999"], "expected port to be from 0 to 65535"),
    ],
)
def test_says_what_cannot_be_shown(
    served: dict[str, Any], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", *options]) == 1
    assert message in capsys.readouterr().err
    assert "settings" not in served


def test_a_checkout_without_openseadragon_says_what_brings_it(
    served: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(view, "_LIBRARY", tmp_path / "nothing.js")
    assert main(["view"]) == 1
    assert "run `make viewer`" in capsys.readouterr().err
    assert "settings" not in served

"""What a service is told: what is refused before it starts, and which files it offers."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from ourgan_sdk.errors import OurganError
from ourgan_sdk.service import Settings, create_app, serve
from ourgan_sdk.service import work_folder as folders
from ourgan_sdk.service.errors import NotFoundError
from ourgan_sdk.service.settings import is_loopback
from ourgan_sdk.service.sources import Sources
from ourgan_sdk.service.work_folder import work_folder

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "pictures.example"])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(OurganError, match="--token-file"):
        Settings(host=host)
    assert Settings(host=host, token=TOKEN).host == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_needs_none(host: str) -> None:
    assert is_loopback(host)
    assert Settings(host=host).token is None


@pytest.mark.parametrize(
    "token", ["short", "with a space in the middle", "x" * 513, "line\nbreaks-in-the-middle"]
)
def test_tokens_that_are_none(token: str) -> None:
    with pytest.raises(OurganError, match="token of 16 to 512"):
        Settings(token=token)


@pytest.mark.parametrize(
    "url",
    [
        "pictures.example",
        "",
        "javascript:x",
        "https://",
        "https://a b",
        "https://u@h",
        "https://h/?q",
        "http://h:x",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(OurganError, match="expected a url such as"):
        Settings(url=url)


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Settings(token=TOKEN))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"port": 70000}, "port"),
        ({"queue": -1}, "queue"),
        ({"in_flight": 0}, "in_flight"),
        ({"max_side": 1 << 40}, "max_side"),
        ({"deadline": float("nan")}, "deadline"),
    ],
)
def test_numbers_that_are_none(changes: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Settings(**changes)


def test_memory_that_is_too_little() -> None:
    with pytest.raises(OurganError, match="--memory"):
        Settings(memory=100 << 20)
    settings = Settings(memory=1 << 30)
    parts = (settings.memory_for_canvases, settings.memory_for_renders, settings.tile_cache)
    assert sum(parts) == 1 << 30


def test_names_of_sources(tmp_path: Path) -> None:
    with pytest.raises(OurganError, match="cannot be called 'a photo'"):
        Settings(sources={"a photo": tmp_path / "a photo.jpg"})


def test_canvases_to_be_warm_are_checked(tmp_path: Path) -> None:
    with pytest.raises(OurganError, match="SOURCE~WIDTHxHEIGHT~SEED"):
        create_app(Settings(warm=("canyon",), work=tmp_path))


def test_an_address_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OurganError, match="--port"):
            serve(Settings(port=taken.getsockname()[1]))


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(OurganError, match=r"uvicorn is not installed: pip install \"ourgan-sdk\[serve\]\""):
        create_app(Settings())


def names(folder: Path) -> list[str]:
    return [source.name for source in Sources(Settings(folder=folder)).look()]


def test_a_folder_offers_pictures_and_bundles(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.ourgan", "c.PNG", "notes.txt", "d e.jpg", ".hidden.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    assert names(tmp_path) == [".hidden", "a", "b", "c"]


def test_a_bundle_stands_for_its_photograph(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.ourgan", "a.png"):
        (tmp_path / name).write_bytes(b"x")
    source = Sources(Settings(folder=tmp_path)).get("a")
    assert source.path.name == "a.ourgan"


def test_what_a_folder_leaves_out_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ourgan_sdk.service.sources._MOST", 4)
    for name in ("a.jpg", "a.png", "b c.jpg", "d.jpg", "e.jpg"):
        (tmp_path / name).write_bytes(b"x")
    sources = Sources(Settings(folder=tmp_path))
    for _ in range(3):
        assert [source.path.name for source in sources.look()] == ["a.png", "d.jpg"]
    told = caplog.messages
    assert len(told) == 3
    assert any("of the 5 files" in one and "4 are offered" in one for one in told)
    assert any("a.jpg is left out: a.png has the same name" in one for one in told)
    assert any("b c.jpg is left out" in one for one in told)


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    outside, folder = tmp_path / "secret.jpg", tmp_path / "folder"
    outside.write_bytes(b"x")
    folder.mkdir()
    (folder / "inside.jpg").write_bytes(b"x")
    (folder / "out.jpg").symlink_to(outside)
    (folder / "up.jpg").symlink_to(Path("..") / "secret.jpg")
    (folder / "in.jpg").symlink_to("inside.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "nowhere.jpg").symlink_to("absent.jpg")
    assert names(folder) == ["in", "inside"]


def test_a_folder_is_looked_at_anew(tmp_path: Path) -> None:
    sources = Sources(Settings(folder=tmp_path))
    with pytest.raises(NotFoundError, match="no source 'a'"):
        sources.get("a")
    (tmp_path / "a.jpg").write_bytes(b"x")
    sources.look()
    first = sources.get("a")
    (tmp_path / "a.jpg").write_bytes(b"other")
    sources.look()
    assert sources.get("a") != first  # another file has taken its place
    (tmp_path / "a.jpg").unlink()
    assert sources.look() == []


def test_work_folders_go_with_their_services(tmp_path: Path) -> None:
    abandoned, other = tmp_path / "ourgan-serve-abandoned", tmp_path / "ourgan-serve-without-a-lock"
    for folder in (abandoned, other):
        folder.mkdir()
    (abandoned / "lock").touch()
    (abandoned / "picture.png").write_bytes(b"x")
    with work_folder(tmp_path) as first:
        assert not abandoned.exists()
        assert first.stat().st_mode & 0o077 == 0
        (first / "a").mkdir()
        with work_folder(tmp_path) as second:
            assert first.exists()  # its service is at work
            assert second != first
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name]


def test_a_folder_that_is_taken_for_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []
    try_lock = folders._try_lock

    def late(descriptor: int) -> bool:
        if not taken:  # another service is faster
            taken.extend(tmp_path.iterdir())
            shutil.rmtree(taken[0])
        return try_lock(descriptor)

    monkeypatch.setattr(folders, "_try_lock", late)
    with work_folder(tmp_path) as folder:
        assert folder.is_dir()
        assert folder not in taken
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_place_for_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OurganError, match="cannot keep renders"), work_folder(tmp_path):
        pass


def test_no_folder_for_work(tmp_path: Path) -> None:
    with pytest.raises(OurganError, match="cannot keep renders"), work_folder(tmp_path / "absent"):
        pass

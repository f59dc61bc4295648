"""Films: random walks that come back, the same whenever they are made, streamed into files."""

import json
import os
import pickle
import signal
import threading
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from ourgan_sdk import OutputError, RenderCancelledError, Synthesizer
from ourgan_sdk.structure import walk
from ourgan_sdk.structure.network import read_reconstruction
from ourgan_sdk.writers.film import Film, save_film
from tests.tiny import write_photo

SIZE = 96, 64


@pytest.fixture(scope="module")
def network(starting_path: Path) -> Synthesizer:
    return Synthesizer(starting_path)


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    return Synthesizer(write_photo(tmp_path_factory.mktemp("photo") / "hills.png"))


def reference(shape: tuple[int, ...], noises: list[np.ndarray], count: int) -> list[np.ndarray]:
    """SinGAN's walk, less z_rec, in float64."""
    last = before = np.zeros(shape)
    places = []
    for index in range(count):
        now = 0.9 * (last + 0.9 * (last - before) + 0.1 * noises[index])
        before, last = last, now
        places.append(now)
    return places


def test_a_walk_is_singans() -> None:
    from ourgan_sdk._core import normal  # noqa: PLC0415
    from ourgan_sdk.structure.walk import _step_seed  # noqa: PLC0415

    shape = (2, 3, 4)
    places = list(walk(shape, 50, 7, 3, is_loop=False))
    noises = [normal(*shape, _step_seed(7, step), 3) for step in range(50)]
    np.testing.assert_allclose(places, reference(shape, noises, 50), atol=1e-5)
    assert 0.3 < np.std(places[20:]) < 0.7


@pytest.mark.parametrize("steps", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 0.9), (0.02, 0.95), (0.01, 0.0), (1.0, 0.5)])
def test_a_loop_closes(steps: int, alpha: float, beta: float) -> None:
    """What comes after the last step is the first one."""
    shape = (1, 4, 5)
    places = list(walk(shape, steps, 3, 0, is_loop=True, alpha=alpha, beta=beta))
    assert len(places) == steps
    if steps < 3:
        return
    from ourgan_sdk._core import normal  # noqa: PLC0415
    from ourgan_sdk.structure.walk import _step_seed  # noqa: PLC0415

    last, before = places[-1], places[-2]
    u = normal(*shape, _step_seed(3, 0), 0)
    following = (1 - alpha) * (last + beta * (last - before) + (1 - beta) * u)
    np.testing.assert_allclose(following, places[0], atol=3e-5)


def test_a_walk_that_does_not_come_back_is_no_loop(network: Synthesizer) -> None:
    for alpha, beta in ((0.0, 0.9), (1e-6, 0.0), (0.1, 1.0)):
        assert len(list(walk((1, 2, 2), 5, 0, 0, is_loop=False, alpha=alpha, beta=beta))) == 5
        if (alpha, beta) == (0.1, 1.0):
            continue  # it swings, and comes back
        with pytest.raises(ValueError, match="a loop takes a walk that comes back"):
            network.animation(*SIZE, alpha=alpha, beta=beta)
        assert len(network.animation(*SIZE, 3, alpha=alpha, beta=beta, is_loop=False)) == 3


@pytest.mark.parametrize("kind", ["network", "patches"])
def test_frames_that_are_near_are_alike(kind: str, request: pytest.FixtureRequest) -> None:
    synthesizer: Synthesizer = request.getfixturevalue(kind)
    film = synthesizer.animation(*SIZE, 24, 5)
    frames = [frame.astype(int) for frame in film]
    assert len(frames) == len(film) == 24
    near = np.mean([np.abs(a - b).mean() for a, b in pairwise([*frames, frames[0]])])
    far = np.mean([np.abs(frames[i] - frames[(i + 12) % 24]).mean() for i in range(24)])
    assert 0 < near < far
    again = [frame.astype(int) for frame in synthesizer.animation(*SIZE, 24, 5)]
    np.testing.assert_array_equal(frames, again)
    other = next(iter(synthesizer.animation(*SIZE, 24, 6)))
    assert (other != frames[0]).any()


def test_scales_before_the_start_stand_still(network: Synthesizer) -> None:
    structure = network.bundle.manifest.structure
    assert structure is not None
    film = network.animation(*SIZE, 5, start_scale=2)
    fed = []
    for canvas in film._frames.canvases():
        source = canvas._renderer.first._structure  # type: ignore[union-attr]
        fed.append(source._draw(structure, (12, 18)))
    for name in ("noise_0", "noise_1"):
        assert len({feeds[name].tobytes() for feeds in fed}) == 1
    assert len({feeds["noise_2"].tobytes() for feeds in fed}) == 5
    np.testing.assert_array_equal(fed[0]["noise_0"][0], read_reconstruction(network.bundle))
    everything = network.animation(*SIZE, 5, start_scale=0)
    assert (next(iter(everything)) != next(iter(film))).any()


def read_film(path: Path) -> list[np.ndarray]:
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if path.is_dir():
        return [np.asarray(Image.open(one)) for one in sorted(path.iterdir())]
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("name", ["film.mp4", "film.gif", "film.webp", "frames"])
def test_every_format_holds_the_frames(patches: Synthesizer, tmp_path: Path, name: str) -> None:
    film = patches.animation(*SIZE, 4, 1)
    told: list[tuple[int, int]] = []
    path = film.save(tmp_path / name, rate=8, progress=lambda done, total: told.append((done, total)))
    assert path == tmp_path / name
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    found, expected = read_film(path), list(film)
    assert len(found) == 4
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).mean() < (0.01 if name == "frames" else 8)
    if name == "film.gif":
        with Image.open(path) as image:
            assert image.info["loop"] == 0
            delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
            assert delays == [120, 130, 130, 120]  # 125 of each
    if name == "film.webp":
        with Image.open(path) as image:
            assert image.info["loop"] == 0
            image.seek(1)
            image.load()
            assert image.info["duration"] == 125
    if name == "film.mp4":
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert float(stream.average_rate) == 8
            assert stream.codec_context.colorspace == 1  # BT.709, as it was converted
    film.save(path, rate=8)  # in place of itself
    assert len(read_film(path)) == 4
    assert len(read_film(film.save(tmp_path / f"first-{name}", first=2))) == 2


@pytest.mark.parametrize("name", ["film.mp4", "film.gif", "film.webp", "frames"])
def test_nothing_is_left_of_a_film_that_ends_early(patches: Synthesizer, tmp_path: Path, name: str) -> None:
    cancel = threading.Event()

    def stop(done: int, _total: int) -> None:
        if done == 2:
            cancel.set()

    with pytest.raises(RenderCancelledError):
        patches.animation(*SIZE, 50).save(tmp_path / name, progress=stop, cancel=cancel)

    def fail() -> Iterator[np.ndarray]:
        yield np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        os.kill(os.getpid(), signal.SIGINT)
        yield np.zeros((SIZE[1], SIZE[0], 3), np.uint8)

    with pytest.raises(KeyboardInterrupt):
        save_film(tmp_path / name, fail(), Film(*SIZE, 10, True, 90))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_filmed(patches: Synthesizer, network: Synthesizer, tmp_path: Path) -> None:
    film = patches.animation(95, 64, 2)
    with pytest.raises(OutputError, match="MP4 takes even sides, the width is 95: give 96"):
        film.save(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match=r"suffix is none of \.mp4, \.gif, \.webp, nor is it a folder"):
        film.save(tmp_path / "a.avi")
    with pytest.raises(OutputError, match="GIF ends at 65535 pixels per side"):
        patches.animation(70_000, 64, 2).save(tmp_path / "a.gif")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    with pytest.raises(OutputError, match="holds something else than frames, 'letter'"):
        film.save(tmp_path / "full")
    with pytest.raises(OutputError, match="GIF shows at most 50 frames per second, asked for are 60"):
        film.save(tmp_path / "a.gif", rate=60)
    for first in (0, -1):
        with pytest.raises(ValueError, match=f"first to be from 1 to .*, got {first}"):
            film.save(tmp_path / "a.gif", first=first)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="it is a file"):
        film.save(tmp_path / "file")
    with pytest.raises(ValueError, match=r"from 0\.1 to 240, got 0"):
        film.save(tmp_path / "a.gif", rate=0)
    with pytest.raises(ValueError, match="the quality to be from 1 to 100, got 0"):
        film.save(tmp_path / "a.gif", quality=0)
    with pytest.raises(ValueError, match="number of frames to be from 1"):
        patches.animation(*SIZE, 0)
    with pytest.raises(ValueError, match="start_scale from 0 to 2, got 3"):
        network.animation(*SIZE, start_scale=3)
    with pytest.raises(ValueError, match="alpha to be from 0 to 1, got 2"):
        network.animation(*SIZE, alpha=2.0)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "full"]


def test_without_its_library_a_film_says_what_to_install(
    patches: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(OutputError, match=r"PyAV.*ourgan-sdk\[animate\]"):
        patches.animation(*SIZE, 2).save(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.mp4"])
def test_memory_does_not_grow_with_a_film(tmp_path: Path, name: str) -> None:
    """Frames are not collected: those that went before are gone when the next one is asked for."""
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal most
        for index in range(12):
            picture = np.full((64, 96, 3), 20 * index, np.uint8)
            alive.append(weakref.ref(picture))
            yield picture
            del picture
            most = max(most, sum(one() is not None for one in alive))

    save_film(tmp_path / name, frames(), Film(96, 64, 10, True, 90))
    assert most <= 2


def test_a_film_says_what_it_was_made_of(patches: Synthesizer, tmp_path: Path) -> None:
    film = patches.animation(*SIZE, 3, 7)
    with av.open(str(film.save(tmp_path / "a.mp4"))) as container:
        told = [json.loads(container.metadata["comment"])]
    with Image.open(film.save(tmp_path / "a.gif")) as image:
        told.append(json.loads(image.info["comment"]))
    with Image.open(film.save(tmp_path / "frames") / "frame-0000002.png") as image:
        told.append(json.loads(image.info["Description"]))
    assert all(one == told[0] for one in told)
    assert (told[0]["seed"], told[0]["frames"], told[0]["bundle"]) == (7, 3, patches.bundle.sha256)


def test_films_can_be_pickled(patches: Synthesizer, network: Synthesizer) -> None:
    for synthesizer in (patches, network):
        film = synthesizer.animation(*SIZE, 3, 2)
        for one, other in zip(film, pickle.loads(pickle.dumps(film)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_colors_of_mp4_are_those_of_the_frames(tmp_path: Path) -> None:
    frame = np.zeros((720, 1280, 3), np.uint8)
    frame[:] = (200, 40, 40)
    frame[300:] = (40, 160, 60)
    path = save_film(tmp_path / "a.mp4", [frame] * 3, Film(1280, 720, 10, True, 100))
    with av.open(str(path)) as container:
        shown = next(container.decode(video=0)).reformat(format="rgb24", src_colorspace=1).to_ndarray()
    assert np.abs(shown[100, 100].astype(int) - (200, 40, 40)).max() <= 3
    assert np.abs(shown[500, 100].astype(int) - (40, 160, 60)).max() <= 3

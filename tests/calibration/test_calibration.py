"""Halos: the measurement, the graph's refusals, and the command on a bundle."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from ourgan_sdk import Bundle, BundleError, OurganError
from ourgan_sdk.calibration import halo
from ourgan_sdk.calibration.halo import Network, calibrate, cut_windows, seam_error, tiled_output
from ourgan_sdk.calibration.receptive_field import by_radius, impulse_energy, radius_of
from ourgan_sdk.cli import main
from ourgan_sdk.engines.graphs.reach import theoretical_radius
from ourgan_sdk.engines.onnxruntime import OnnxRuntimeEngine
from tests.conftest import HALO, Graph, upscaler_network


def as_function(data: bytes) -> Network:
    engine = OnnxRuntimeEngine(data)
    return lambda picture: engine.run({"picture": picture})


def random_windows(side: int, count: int = 3) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return cut_windows([generator.random((3, 420, 440), dtype=np.float32)], side, 0.0, generator, count)


def blurring(radius: int) -> Network:
    """Enlarges, and adds to every pixel those `radius` away above and left of it, a hundredth of each."""

    def network(picture: np.ndarray) -> np.ndarray:
        padded = np.pad(picture, ((0, 0), (0, 0), (radius, 0), (radius, 0)))
        height, width = picture.shape[2:]
        mixed = picture + 0.01 * (padded[:, :, :height, radius:] + padded[:, :, radius:, :width])
        return mixed.repeat(4, 2).repeat(4, 3)

    return network


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 4, 7, 11, 31, 32, 33, 64, 100])
def test_the_halo_is_the_radius(radius: int) -> None:
    """Also where it is more than a quarter of the first windows, and where it is the largest to be tried."""
    assert calibrate("a", blurring(radius), random_windows).halo == radius


def test_calibrated_halo_is_the_smallest_that_will_do() -> None:
    network, windows = as_function(upscaler_network()), random_windows(128)
    wholes = [network(window) for window in windows]
    found = calibrate("a", network, lambda _: windows)
    assert 0 < found.halo <= HALO
    assert found.error == seam_error(network, windows, wholes, found.halo)
    assert found.error.maximum <= 0.5 < seam_error(network, windows, wholes, found.halo - 1).maximum
    assert {0, 1, 2, 4, 8, 16, 32, found.halo} <= found.errors.keys()
    assert list(found.errors) == sorted(found.errors)
    assert found.errors[0].maximum > 4


def test_tiles_with_the_whole_radius_equal_the_whole() -> None:
    network, (window,) = as_function(upscaler_network()), random_windows(61, 1)
    whole = network(window)
    assert np.abs(tiled_output(network, window, HALO) - whole).max() < 1e-6
    difference = np.abs(tiled_output(network, window, HALO - 1) - whole).max((0, 1))
    rows, columns = np.nonzero(difference > 1e-6)  # along the two seams alone
    assert max(np.minimum(abs(rows - 120), abs(columns - 120))) <= 4 * HALO


def test_seam_errors_are_of_pictures() -> None:
    """Differences beyond [0, 1] do not count; what counts as different is what rounds to another level."""
    window = np.full((1, 3, 8, 8), 0.5, np.float32)

    def network(picture: np.ndarray) -> np.ndarray:
        output = np.full((1, 3, 4 * picture.shape[2], 4 * picture.shape[3]), 2.0, np.float32)
        if picture.shape[2] < 8:
            output[0, 0] = 7  # clipped to the same
            output[0, 1] = 1 - 0.4 / 255  # another value, the same level
            output[0, 2] = 1 - 0.6 / 255
        return output

    error = seam_error(network, [window], [network(window)], 0)
    assert error.maximum == pytest.approx(0.6, abs=1e-4)
    assert error.share_different == pytest.approx(1 / 3)


def test_values_that_are_not_finite_are_named() -> None:
    with pytest.raises(OurganError, match="not finite"):
        calibrate("a", as_function(upscaler_network(damaged=True)), random_windows)


def test_windows_are_of_all_pictures_and_of_one_size() -> None:
    pictures = [np.full((3, 40, 30), i, np.float32) for i in range(3)]
    windows = cut_windows(pictures, 32, 0.0, np.random.default_rng(0), count=5)
    assert [window.shape for window in windows] == [(1, 3, 32, 32)] * 5
    assert [window.max() for window in windows] == [0, 1, 2, 0, 1]
    (mirrored,) = cut_windows(
        [np.arange(6, dtype=np.float32).reshape(1, 2, 3)], 5, 0.0, np.random.default_rng(0), count=1
    )
    assert mirrored[0, 0, :3].tolist() == [[0, 1, 2, 2, 1], [3, 4, 5, 5, 4], [3, 4, 5, 5, 4]]
    noisy = cut_windows(pictures[:1], 32, 0.1, np.random.default_rng(0))
    assert np.std(noisy) == pytest.approx(0.1, rel=0.05)


def test_progress_ends_at_the_whole() -> None:
    calls: list[tuple[int, int]] = []
    calibrate("a", blurring(5), random_windows, progress=lambda *call: calls.append(call))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1]


def enlarged(graph: Graph, value: str) -> bytes:
    """A x4 network that ends in an enlargement of `value`."""
    factors = graph.constant(np.array([1, 1, 4, 4], np.float32))
    options: dict[str, Any] = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    graph.add("Resize", value, "", factors, output="upscaled", mode="nearest", **options)
    return graph.model({"picture": 3}, "upscaled")


def normalising() -> bytes:
    graph = Graph(0)
    ones = graph.constant(np.full(3, 0.2, np.float32))
    return enlarged(graph, graph.add("InstanceNormalization", "picture", ones, ones))


def pooling() -> bytes:
    graph = Graph(0)
    return enlarged(graph, graph.add("Sub", "picture", graph.add("GlobalAveragePool", "picture")))


def averaging() -> bytes:
    graph = Graph(0)
    axes = graph.constant(np.array([-2, -1], np.int64))
    return enlarged(graph, graph.add("Sub", "picture", graph.add("ReduceMean", "picture", axes)))


def attending() -> bytes:
    """Softmax(Q^T K) V over all positions; the shapes are taken from the picture."""
    graph = Graph(0)
    flat = graph.add("Reshape", "picture", graph.constant(np.array([1, 3, -1], np.int64)))
    positions = graph.add("Transpose", flat, perm=[0, 2, 1])
    weights = graph.add("Softmax", graph.add("MatMul", positions, flat), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, positions), perm=[0, 2, 1])
    return enlarged(graph, graph.add("Reshape", mixed, graph.add("Shape", "picture")))


REFUSED = {
    "InstanceNormalization": normalising,
    "GlobalAveragePool": pooling,
    "ReduceMean": averaging,
    "Reshape": attending,
}


@pytest.mark.parametrize("operator", REFUSED)
def test_networks_that_compute_over_all_positions_are_refused(
    operator: str, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a bundle by their graph, which names the node, and before that by measurement."""
    data = REFUSED[operator]()
    with pytest.raises(BundleError, match=rf"'upscaler_later.onnx': node '\w+' \({operator}\): is n"):
        Bundle.open(make_bundle(upscaler_later=data)).network("upscaler_later.onnx")
    monkeypatch.setattr(halo, "SIDES", (32,))  # attention is quadratic in the positions
    generator = np.random.default_rng(0)
    windows = [generator.random((1, 3, 32, 32), dtype=np.float32) for _ in range(2)]
    windows[0][:, :, :8] *= 0.2  # no quarter is like the whole
    with pytest.raises(
        OurganError, match=r"a.onnx cannot be tiled: with a halo of 8 .* normalises over space"
    ):
        calibrate("a.onnx", as_function(data), lambda _: windows)


def test_theoretical_radius_is_not_followed_through_transpositions() -> None:
    graph = Graph(0)
    value = graph.add("Transpose", graph.convolution("picture", 3, 3), perm=[0, 2, 3, 1])
    value = graph.add("LayerNormalization", value, graph.constant(np.ones(3, np.float32)), axis=-1)
    value = graph.add("MatMul", value, graph.constant(np.eye(3, dtype=np.float32)))
    value = graph.add("Transpose", value, perm=[0, 3, 1, 2])
    data = enlarged(graph, graph.add("Softmax", value, axis=1))
    assert theoretical_radius(data) is None


def convolving(size: int, dilation: int = 1) -> bytes:
    graph = Graph(0)
    weight = graph.constant(np.ones((3, 3, size, size), np.float32))
    padding = dilation * (size // 2)
    return enlarged(graph, graph.add("Conv", "picture", weight, pads=[padding] * 4, dilations=[dilation] * 2))


@pytest.mark.parametrize(
    ("data", "radius"),
    [
        (upscaler_network(), HALO),
        (convolving(1), 0),
        (convolving(5), 2),
        (convolving(3, dilation=4), 4),
        (enlarged(Graph(0), "picture"), 0),
    ],
)
def test_theoretical_radius(data: bytes, radius: int) -> None:
    """As the graph says, and as a moved pixel shows: nothing beyond it ever changes."""
    assert theoretical_radius(data) == radius
    energy = impulse_energy(as_function(data), random_windows(41))
    assert np.flatnonzero(energy).max() == radius


@pytest.mark.parametrize(
    ("mode", "place", "radius"), [("linear", "half_pixel", 1), ("cubic", "half_pixel", 2)]
)
def test_theoretical_radius_of_resizing(mode: str, place: str, radius: int) -> None:
    graph = Graph(0)
    factors = graph.constant(np.array([1, 1, 4, 4], np.float32))
    options = {"mode": mode, "coordinate_transformation_mode": place}
    graph.add("Resize", "picture", "", factors, output="upscaled", **options)
    data = graph.model({"picture": 3}, "upscaled")
    assert theoretical_radius(data) == radius
    assert np.flatnonzero(impulse_energy(as_function(data), random_windows(41))).max() == radius


def test_energy_by_radius() -> None:
    energy = np.zeros((7, 9))
    energy[3, 4], energy[2, 3], energy[3, 8] = 8, 1, 1
    rings = by_radius(energy)
    assert rings.tolist() == [8, 1, 0, 0, 1]
    assert [radius_of(rings, share) for share in (0.5, 0.8, 0.85, 0.95, 1)] == [0, 0, 1, 4, 4]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """With transparency and turned by its EXIF data, as photographs may be."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 4), np.uint8)
    path = tmp_path / "photo.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.mark.parametrize("with_photo", [True, False])
def test_command(
    bundle_path: Path, tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str], with_photo: bool
) -> None:
    output = tmp_path / "other.ourgan"
    source = ["--photo", str(photo)] if with_photo else []
    before = bundle_path.read_bytes()
    assert main(["calibrate", str(bundle_path), "-o", str(output), *source]) == 0
    assert bundle_path.read_bytes() == before
    old, new = Bundle.open(bundle_path), Bundle.open(output)
    assert {name: new.read(name) for name in new.manifest.files} == {
        name: old.read(name) for name in old.manifest.files
    }
    for upscaler in new.manifest.upscalers:
        assert 0 < upscaler.halo <= HALO
        assert upscaler.seam_error.maximum <= 0.5
        assert upscaler.erf is not None
        assert upscaler.erf.radius_9545 <= upscaler.erf.radius_999 <= upscaler.erf.theoretical == HALO
    text = capsys.readouterr().out
    for upscaler in new.manifest.upscalers:
        assert f"{upscaler.file}: halo {upscaler.halo} px (in the bundle: {HALO})" in text
        assert re.search(rf"\*{upscaler.halo} +0\.\d+ .*%.*%", text)
    assert text.endswith(f"written: {output}\n")


def test_command_writes_into_the_bundle_only_when_told(
    make_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_bundle()
    before = path.read_bytes()
    assert main(["calibrate", str(path)]) == 0
    assert path.read_bytes() == before
    assert main(["calibrate", str(path), "--write"]) == 0
    assert Bundle.open(path).manifest.upscalers[0].erf is not None
    assert main(["info", str(path)]) == 0
    assert "99.9 % of the receptive field within" in capsys.readouterr().out


def test_command_refuses_and_leaves_the_bundle(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_bundle(upscaler_later=normalising())
    before = path.read_bytes()
    absent = str(tmp_path / "absent.jpg")
    for options, words in (
        ([str(path), "--write"], "'value_0' (InstanceNormalization): is not for pictures in an upscaler"),
        ([str(path), "--photo", absent], f"cannot read the photograph {absent}"),
        ([str(path), "--photo", str(path)], "is not a picture that can be read"),
        (["--write"], "expected the bundle to write into"),
    ):
        assert main(["calibrate", *options]) == 1
        assert words in capsys.readouterr().err.splitlines()[-1]
    assert path.read_bytes() == before


def test_graphs_are_not_changed_by_looking() -> None:
    data = upscaler_network()
    theoretical_radius(data)
    onnx.checker.check_model(onnx.load_model_from_string(data))
    assert theoretical_radius(data) == HALO

"""Small networks that do what trained ones do, and a bundle of them."""

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ourgan_sdk._core import CudaDevice
from ourgan_sdk.bundle import Manifest, Photo, Scale, SeamError, Structure, Training, Upscaler, write_bundle
from ourgan_sdk.photograph import photograph_member, read_photograph
from tests.fake_cuda import FakeCuda, build

# Programs started in the background are told to ignore Ctrl-C, and pass that on: the tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["OURGAN_ENGINE"] = "onnxruntime"  # what is tested does not depend on what is installed
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # tests that import it by themselves report nothing either

_cache = tempfile.TemporaryDirectory(prefix="ourgan-cache-")  # in the place of the user's, until the end
os.environ["XDG_CACHE_HOME"] = _cache.name

SCALES = [
    Scale(height=4, width=6, channels=4, noise_deviation=1.0),
    Scale(height=7, width=10, channels=3, noise_deviation=0.5),
    Scale(height=12, width=18, channels=3, noise_deviation=0.2),
]
PHOTOGRAPH = (640, 1000)
"""(height, width) of the one that a bundle holds: small, yet with a level above those that are searched."""
HALO = 3
"""Exactly the radius of the upscaler below, so that tiles may differ from the whole by rounding alone."""


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is found in, or left in, the cache folder of whoever runs the tests (on Linux)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread: for networks and pictures so small that two only wait for each other."""
    import torch  # noqa: PLC0415 - most tests do without

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)  # which training sets, and hypothesis minds


@pytest.fixture(scope="module")
def tiny_preset() -> Iterator[None]:
    """The preset ``draft`` trains in seconds; goes with ``one_thread``."""
    from tests.tiny import use_tiny_preset  # noqa: PLC0415
    from trainers.presets import PRESETS  # noqa: PLC0415

    saved = PRESETS["draft"]
    use_tiny_preset()
    yield
    PRESETS["draft"] = saved


class Graph:
    """Collects nodes and random weights for one ONNX network."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def convolution(self, value: str, channels: int, filters: int) -> str:
        spread = 1 / np.sqrt(9 * channels)
        weight = self.random.normal(0, spread, (filters, channels, 3, 3)).astype(np.float32)
        return self.add("Conv", value, self.constant(weight), kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def model(self, inputs: dict[str, int], output: str) -> bytes:
        def image(name: str, channels: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(
                name, TensorProto.FLOAT, [1, channels, f"height_{name}", f"width_{name}"]
            )

        values = [image(name, channels) for name, channels in inputs.items()]
        graph = helper.make_graph(self.nodes, "network", values, [image(output, 3)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def structure_network(seed: int = 1) -> bytes:
    """Noise of every scale mixed by convolutions, each scale's picture enlarged to the next one's size.

    It normalises by the picture's own statistics, as trained structure networks do.
    """
    graph = Graph(seed)
    value, channels = "noise_0", SCALES[0].channels
    for i, scale in enumerate(SCALES):
        if i:
            size = graph.add("Shape", f"noise_{i}", start=2)
            head = graph.add("Shape", value, end=2)
            sizes = graph.add("Concat", head, size, axis=0)
            value = graph.add("Resize", value, "", "", sizes, mode="linear")
            value = graph.add("Concat", value, f"noise_{i}", axis=1)
            channels += scale.channels
        value = graph.add("Relu", graph.convolution(value, channels, 8))
        ones, zeros = (graph.constant(np.full(8, level, np.float32)) for level in (1, 0))
        value = graph.add("InstanceNormalization", value, ones, zeros)
        channels = 8
    graph.add("Sigmoid", graph.convolution(value, channels, 3), output="picture")
    return graph.model({f"noise_{i}": scale.channels for i, scale in enumerate(SCALES)}, "picture")


def starting_network(seed: int = 4) -> bytes:
    """A structure network that can start from a picture: every scale makes one, of that below and noise."""
    graph = Graph(seed)
    inputs = {f"noise_{i}": scale.channels for i, scale in enumerate(SCALES)}
    one = graph.constant(np.ones(1, np.float32))
    value, channels = "noise_0", SCALES[0].channels
    for i, scale in enumerate(SCALES):
        if i:
            size = graph.add("Shape", f"noise_{i}", start=2)
            head = graph.add("Shape", value, end=2)
            value = graph.add("Resize", value, "", "", graph.add("Concat", head, size, axis=0), mode="linear")
            value = graph.add("Concat", value, f"noise_{i}", axis=1)
            channels = 3 + scale.channels
        is_last = i + 1 == len(SCALES)
        value = graph.add(
            "Sigmoid", graph.convolution(value, channels, 3), output="picture" if is_last else ""
        )
        if not is_last:
            inputs |= {f"given_{i}": 3, f"share_{i}": 1}
            given = graph.add("Mul", f"share_{i}", f"given_{i}")
            made = graph.add("Mul", graph.add("Sub", one, f"share_{i}"), value)
            value = graph.add("Add", given, made)
    return graph.model(inputs, "picture")


def upscaler_network(seed: int = 2, *, damaged: bool = False) -> bytes:
    """The picture repeated 4 x 4 times, plus details from three 3 x 3 convolutions; NaN when damaged."""
    graph = Graph(seed)
    value = graph.add("Relu", graph.convolution("picture", 3, 16))
    value = graph.add("Relu", graph.convolution(value, 16, 16))
    details = graph.add("DepthToSpace", graph.convolution(value, 16, 48), blocksize=4)
    factors = graph.constant(np.array([1, 1, 4, 4], np.float32))
    repeated = graph.add(
        "Resize",
        "picture",
        "",
        factors,
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    if damaged:
        repeated = graph.add("Sqrt", graph.add("Sub", repeated, graph.constant(np.array(2, np.float32))))
    graph.add("Add", repeated, details, output="upscaled")
    return graph.model({"picture": 3}, "upscaled")


def endless_network() -> bytes:
    """Adds nothing to its picture, ten million times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("index", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    graph = Graph(0)
    count = graph.constant(np.array(10_000_000, np.int64))
    graph.add("Loop", count, "", "picture", output="upscaled", body=body)
    return graph.model({"picture": 3}, "upscaled")


def make_manifest() -> Manifest:
    upscaler = Upscaler(
        file="upscaler.onnx",
        halo=HALO,
        noise_deviation=0.1,
        bytes_per_pixel=1024,
        seam_error=SeamError(maximum=0, p9999=0, share_different=0),
    )
    return Manifest(
        photo=Photo(width=180, height=120, sha256="0" * 64),
        training=Training(
            preset="draft", seed=0, structure_steps=[1, 1, 1], upscaler_steps=1, seconds=1.5, perceptual=None
        ),
        structure=Structure(file="structure.onnx", scales=SCALES),
        upscalers=[
            upscaler,
            upscaler.model_copy(update={"file": "upscaler_later.onnx", "noise_deviation": 0.0}),
        ],
    )


def write_bundle_with_photograph(
    path: Path, manifest: Manifest, networks: dict[str, bytes], photograph: bytes, **changes: object
) -> Path:
    """The tiny bundle with a file of a photograph in it; `changes` to what its manifest says of that."""
    height, width = PHOTOGRAPH
    photo = Photo(width=width, height=height, sha256="0" * 64, file="photograph.jpg")
    changed = manifest.model_copy(update={"photo": photo.model_copy(update=changes)})
    return write_bundle(path, changed, networks | {"photograph.jpg": photograph}).path


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None and CudaDevice.count() == 0:
        pytest.skip("needs an NVIDIA GPU")


@pytest.fixture(scope="session")
def fake_cuda_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not sys.platform.startswith("linux"):
        pytest.skip("the stand-in for NVIDIA's driver is for Linux")
    return build(tmp_path_factory.mktemp("fake_cuda"))


@pytest.fixture
def fake_cuda(fake_cuda_library: Path) -> Iterator[FakeCuda]:
    """A driver of one GPU; everything that a test takes from it must be freed when the test ends."""
    fake = FakeCuda(fake_cuda_library)
    yield fake
    gc.collect()
    live = fake.live()
    fake.reset()
    assert live == {}


@pytest.fixture(scope="session")
def networks() -> dict[str, bytes]:
    return {
        "structure.onnx": structure_network(),
        "upscaler.onnx": upscaler_network(2),
        "upscaler_later.onnx": upscaler_network(3),
        "preview.png": b"\x89PNG",
    }


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    return make_manifest()


@pytest.fixture(scope="session")
def bundle_path(
    tmp_path_factory: pytest.TempPathFactory, manifest: Manifest, networks: dict[str, bytes]
) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "tiny.ourgan"
    write_bundle(path, manifest, networks)
    return path


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file that a bundle holds of it."""
    from tests.tiny import write_photo  # noqa: PLC0415 - which needs torch

    path = write_photo(tmp_path_factory.mktemp("photograph") / "hills.png", *PHOTOGRAPH)
    return photograph_member(read_photograph(path))[1]


@pytest.fixture(scope="session")
def photograph_path(
    tmp_path_factory: pytest.TempPathFactory,
    manifest: Manifest,
    networks: dict[str, bytes],
    photograph: bytes,
) -> Path:
    """The tiny bundle with its photograph."""
    path = tmp_path_factory.mktemp("bundle") / "photograph.ourgan"
    return write_bundle_with_photograph(path, manifest, networks, photograph)


@pytest.fixture(scope="session")
def starting_path(
    tmp_path_factory: pytest.TempPathFactory,
    manifest: Manifest,
    networks: dict[str, bytes],
    photograph: bytes,
) -> Path:
    """The tiny bundle with its photograph, whose structure network can start from a picture."""
    path = tmp_path_factory.mktemp("bundle") / "starting.ourgan"
    structure = Structure(
        file="structure.onnx", scales=SCALES, starts=True, reconstruction="reconstruction.f32"
    )
    noise = np.random.default_rng(5).normal(size=(4, 4, 6)).astype("<f4")
    members = networks | {"structure.onnx": starting_network(), "reconstruction.f32": noise.tobytes()}
    changed = manifest.model_copy(update={"structure": structure})
    return write_bundle_with_photograph(path, changed, members, photograph)


@pytest.fixture
def make_bundle(tmp_path: Path, manifest: Manifest, networks: dict[str, bytes]) -> Callable[..., Path]:
    """Writes the tiny bundle with some members replaced, given by name."""

    def make(**replaced: bytes) -> Path:
        path = tmp_path / "other.ourgan"
        members = networks | {f"{name}.onnx": data for name, data in replaced.items()}
        write_bundle(path, manifest, members)
        return path

    return make

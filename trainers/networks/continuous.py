"""A generator of continuous coordinates and scale, and its critic (Chai et al., ECCV 2022).

The generator makes any part of a picture at any scale: it is told where the cells of a grid lie in the unit
square, and how many pixels the square's side has. Fourier features of the coordinates (StyleGAN3, Karras et
al. 2021) go through modulated layers at that grid, whose cells have ``stride`` x ``stride`` pixels, and
through enlargements to pixels. The first layers see each cell by itself: they decide what lies where, and
cost tiles nothing (CIPS, Anokhin et al. 2021, is made of such layers alone). The features' frequencies reach
up to the highest that the grid can show at the largest scale. At every scale they fade from half of the
highest that it can show there on, and none is beyond it: nothing aliases.

It is local: what it makes of a cell depends on the cells within ``radius`` alone, never on the picture's size
or on statistics over it. So a picture can be made in tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .modulated import GAIN, SLOPE, Enlarge, EqualConv2d, FilteredLeakyReLU, Mapping, ModulatedConv2d

LOWEST_FREQUENCY = 0.5  # cycles per unit square: half a wave tells where in it something is
MOST_WIDTH = 512  # channels
PLASTIC = 1.3247179572447460  # root of x^3 = x + 1
GROUP = 4  # samples that the critic compares with one another
SMALLEST_SIDE = 7  # the critic halves what is larger


@dataclass(frozen=True)
class ContinuousSize:
    """What decides the generator's weights and what they mean."""

    patch: int  # pixels of the unit square at the smallest scale
    largest: int  # and at the largest
    stride: int = 4  # pixels per cell, a power of 2
    channels: int = 16  # at the pixels; twice as many at each coarser grid
    latent: int = 64
    features: int = 128  # Fourier features
    points: int = 3  # layers of single cells
    layers: int = 3  # filtered, at the cells' grid, the first without neighbours
    filter_radius: int = 1  # of the filtered non-linearities
    scale_input: bool = True  # off: all scales are made as the smallest one is, for comparisons

    def __post_init__(self) -> None:
        """Raises ValueError for sizes that do not go together."""
        if self.stride < 1 or self.stride & (self.stride - 1):
            raise ValueError(f"stride: expected a power of 2, got {self.stride}")
        if self.patch % self.stride or self.largest < self.patch:
            raise ValueError(
                f"expected patches of whole cells and no scale below them, got patch {self.patch}, stride "
                f"{self.stride}, largest scale {self.largest}"
            )

    @property
    def levels(self) -> int:
        """Enlargements from cells to pixels."""
        return self.stride.bit_length() - 1

    @property
    def needed(self) -> list[int]:
        """How far what comes after each grid but the last sees, in its own cells; then 0."""
        far = [0]
        for _ in range(self.levels):
            far.insert(0, -(-(far[0] + self.layer_radius(3)) // 2) + self.filter_radius)
        return far

    @property
    def radius(self) -> int:
        """How far the generator sees in theory, in cells: what lies beyond changes nothing."""
        return self.needed[0] + self.layer_radius(1) + (self.layers - 1) * self.layer_radius(3)

    def layer_radius(self, side: int) -> int:
        """The same for one layer whose kernel has this side."""
        return side // 2 + 2 * self.filter_radius

    def width(self, level: int) -> int:
        """Channels after so many enlargements."""
        return min(self.channels << (self.levels - level), MOST_WIDTH)


class FourierFeatures(nn.Module):
    """(N, 2, h, w) coordinates, (N, 1, 1, 1) scale, (N, latent, 1, 1) code -> (N, features, h, w).

    The frequencies are fixed, evenly spread over directions and the logarithm of their length, one half over
    what the smallest scale shows, the other over what only larger ones do. Waves are weaker the finer they
    are, as a photograph's details; at one strength a network makes textures of them before it makes layouts,
    and phase 2 would begin with noise. The code moves every other one of the finer half, each by itself, and
    so gives every picture texture of its own; all others lie where they are, and tell where in the square
    something is.
    """

    frequencies: Tensor
    phases: Tensor
    moved: Tensor
    strengths: Tensor

    def __init__(self, size: ContinuousSize) -> None:
        super().__init__()
        wholes, highest = (pixels / (2 * size.stride) for pixels in (size.patch, size.largest))
        counts = size.features // 2, size.features - size.features // 2
        parts = [
            spread_waves(count, first, last)
            for count, first, last in zip(counts, (LOWEST_FREQUENCY, wholes), (wholes, highest), strict=True)
        ]
        lengths, directions = torch.cat(parts, 1)
        frequencies = torch.stack([lengths * directions.sin(), lengths * directions.cos()])
        self.register_buffer("frequencies", frequencies[:, :, None, None])  # (2, features, 1, 1): y, x
        self.register_buffer("phases", torch.rand(1, size.features, 1, 1))  # cycles
        number = torch.arange(size.features)
        moved = (number >= counts[0]) & (number % 2 == 1)
        self.register_buffer("moved", moved.float().view(1, -1, 1, 1), persistent=False)
        strengths = lengths.rsqrt()
        strengths = strengths / strengths[: counts[0]].square().mean().sqrt()
        self.register_buffer("strengths", GAIN * strengths.view(1, -1, 1, 1))
        self.shifts = EqualConv2d(size.latent, size.features)
        self.cells = 2 * size.stride  # pixels of a wave that the grid can just show

    def forward(self, coordinates: Tensor, scale: Tensor, code: Tensor) -> Tensor:
        # Products, not a convolution: those may compute in fewer bits, and of 100 cycles every bit counts.
        with torch.autocast(coordinates.device.type, enabled=False):
            y, x = self.frequencies
            phases = self.phases + self.moved * self.shifts(code)
            cycles = coordinates[:, :1] * y + coordinates[:, 1:] * x + phases
            lengths = (y * y + x * x).sqrt()
            strength = (2 * (1 - self.cells * lengths / scale)).clamp(0, 1)
            return (2 * math.pi * cycles).sin() * (self.strengths * strength)


def spread_waves(count: int, shortest: float, longest: float) -> Tensor:
    """Lengths between two, and directions in radians, of frequencies: (2, count).

    They spread evenly over half a turn (the phase tells a wave from its opposite) and over the logarithm of
    the length, by Roberts' R2 sequence from a random point on. Random ones leave gaps: directions without a
    wave.
    """
    steps = torch.tensor([[1 / PLASTIC], [1 / PLASTIC**2]], dtype=torch.float64)
    spread = ((torch.rand(2, 1, dtype=torch.float64) + steps * torch.arange(count)) % 1).float()
    lengths = shortest * (spread[:1] * math.log(longest / shortest)).exp()
    return torch.cat([lengths, math.pi * spread[1:]])


class PointLayer(nn.Module):
    """A modulated layer of single cells."""

    def __init__(self, channels: int, codes: tuple[int, ...]) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(channels, channels, 1, codes)

    def forward(self, x: Tensor, *codes: Tensor) -> Tensor:
        return activate(self.convolution(x, *codes))


class Layer(nn.Module):
    """A modulated convolution and a filtered non-linearity."""

    def __init__(self, inputs: int, outputs: int, side: int, codes: tuple[int, ...], radius: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, outputs, side, codes)
        self.activation = FilteredLeakyReLU(outputs, radius)

    def forward(self, x: Tensor, *codes: Tensor) -> Tensor:
        return self.activation(self.convolution(x, *codes))


class ContinuousGenerator(nn.Module):
    """(N, 2, h, w) coordinates, (N,) scale in pixels, (N, latent) normal latents -> (N, 3, H, W).

    Coordinates are the cells' centres, y before x, in the unit square or beyond it. The picture is nominally
    in [-1, 1], not clamped; H = stride * (h - 2 * margin), and W alike: ``margin`` cells on every side are
    there for the sake of what lies within them.
    """

    def __init__(self, size: ContinuousSize) -> None:
        super().__init__()
        self.size = size
        codes = (size.latent, size.latent)
        self.latents = Mapping(size.latent, size.latent, normalised=True)
        self.scales = Mapping(1, size.latent, rate=0.1)
        self.features = FourierFeatures(size)
        self.points = nn.ModuleList(PointLayer(size.features, codes) for _ in range(size.points))
        width = size.width(0)
        self.coarse = nn.ModuleList(
            Layer(width if i else size.features, width, 3 if i else 1, codes, size.filter_radius)
            for i in range(size.layers)
        )
        widths = [size.width(level) for level in range(size.levels + 1)]
        self.enlarge = nn.ModuleList(Enlarge(before, size.filter_radius) for before in widths[:-1])
        self.fine = nn.ModuleList(
            Layer(before, after, 3, codes, size.filter_radius) for before, after in pairwise(widths)
        )
        self.colours = ModulatedConv2d(widths[-1], 3, 1, codes, demodulate=False)

    @property
    def radius(self) -> int:
        """How far it sees in theory, in cells."""
        return self.size.radius

    def forward(self, coordinates: Tensor, scale: Tensor, latent: Tensor, margin: int = 0) -> Tensor:
        size, needed = self.size, self.size.needed
        scale = scale[:, None, None, None]
        scale = scale.clamp(size.patch, size.largest) if size.scale_input else 0 * scale + size.patch
        codes = self.latents(latent[:, :, None, None]), self.scales(self._octaves(scale))
        x = self.features(coordinates, scale, codes[0])
        for layer in [*self.points, *self.coarse]:
            x = layer(x, *codes)
        for i, (enlarge, layer) in enumerate(zip(self.enlarge, self.fine, strict=True)):
            x, margin = crop(x, margin, needed[i])
            x, margin = crop(enlarge(x), 2 * margin, needed[i + 1] + size.layer_radius(3))
            x = layer(x, *codes)
        x, _ = crop(x, margin, 0)
        return self.colours(x, *codes).float()

    def _octaves(self, scale: Tensor) -> Tensor:
        """Where a scale lies between the smallest and the largest, by its logarithm: 0 to 1."""
        octaves = math.log(self.size.largest / self.size.patch)
        return (scale / self.size.patch).log() / octaves if octaves else 0 * scale


def crop(x: Tensor, margin: int, needed: int) -> tuple[Tensor, int]:
    """``x`` with no more than ``needed`` of its ``margin`` on every side; and how much is left of that."""
    cut = max(margin - needed, 0)
    return (x[..., cut:-cut, cut:-cut], margin - cut) if cut else (x, margin)


class ContinuousCritic(nn.Module):
    """StyleGAN2's discriminator, small: (N, 3, p, p) in [-1, 1] -> (N, 1) scores.

    Residual blocks halve the side down to seven pixels or less, and double the channels (at most ``widest``
    times). Before the last convolution it sees how much samples of a batch differ ("minibatch standard
    deviation").
    """

    def __init__(self, patch: int, channels: int, widest: int = 4) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        side, width = patch, channels
        while side > SMALLEST_SIDE:
            if side % 2:
                raise ValueError(f"expected a patch that can be halved to {SMALLEST_SIDE}, got {patch}")
            wider = min(2 * width, widest * channels)
            blocks.append(CriticBlock(width, wider))
            side, width = side // 2, wider
        self.first = EqualConv2d(3, channels)
        self.blocks = nn.Sequential(*blocks)
        self.last = EqualConv2d(width + 1, width, 3)
        self.dense = EqualConv2d(width * side * side, width)
        self.score = EqualConv2d(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(activate(self.first(x)))
        x = activate(self.last(torch.cat([x, differences(x)], 1)))
        x = activate(self.dense(x.flatten(1)[:, :, None, None]))
        return self.score(x).flatten(1).float()


class CriticBlock(nn.Module):
    """Two convolutions, and a skip around them, to half the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.one, self.other = EqualConv2d(inputs, inputs, 3), EqualConv2d(inputs, outputs, 3)
        self.skip = EqualConv2d(inputs, outputs, bias=None)

    def forward(self, x: Tensor) -> Tensor:
        y = F.avg_pool2d(activate(self.other(activate(self.one(x)))), 2)
        return (y + self.skip(F.avg_pool2d(x, 2))) / math.sqrt(2)


def activate(x: Tensor) -> Tensor:
    """LeakyReLU that keeps the variance."""
    return GAIN * F.leaky_relu(x, SLOPE)


def differences(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, 1, h, w): the mean deviation within each sample's group of GROUP.

    Sample i is in one with i + N / GROUP and so on; where GROUP does not divide N, all are one group.
    """
    count = len(x)
    group = GROUP if count % GROUP == 0 else count
    groups = x.float().view(group, count // group, *x.shape[1:])
    deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # of (count / group,)
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)

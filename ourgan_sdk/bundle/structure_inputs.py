"""What a structure network takes: for every scale noise, and what it is to start from, where it can."""

from dataclasses import dataclass

from .manifest import Structure

__all__ = ["StructureInput", "scale_sizes", "structure_inputs"]

Size = tuple[int, int]


@dataclass(frozen=True)
class StructureInput:
    """An input of shape (1, channels, height, width), float32.

    `noise_m` is scale m's noise. `given_m`, a picture in [0, 1], takes the place of what scale m makes, as
    far as `share_m` says, from 0 to 1.
    """

    name: str
    channels: int
    height: int
    width: int


def scale_sizes(structure: Structure, size: Size | None = None) -> list[Size]:
    """(height, width) of every scale of a structure of `size`, by default the one that it was trained at."""
    finest = structure.scales[-1]
    height, width = (finest.height, finest.width) if size is None else size
    return [
        (
            max(1, round(height * scale.height / finest.height)),
            max(1, round(width * scale.width / finest.width)),
        )
        for scale in structure.scales
    ]


def structure_inputs(structure: Structure, size: Size | None = None) -> list[StructureInput]:
    """All inputs, in the network's order, of a structure of `size`, by default the one it was trained at."""
    sizes, around = scale_sizes(structure, size), 2 * structure.margin
    inputs = [
        StructureInput(f"noise_{m}", scale.channels, height + around, width + around)
        for m, (scale, (height, width)) in enumerate(zip(structure.scales, sizes, strict=True))
    ]
    if structure.starts:
        for m, one in enumerate(sizes[:-1]):
            inputs += [StructureInput(f"given_{m}", 3, *one), StructureInput(f"share_{m}", 1, *one)]
    return inputs

"""A canvas at another size: which sizes fit, and which of its levels, or what beyond them, has the pixels."""

from collections.abc import Sequence

from .detail import halved_size
from .errors import SizeError
from .sizes import LARGEST_SIDE

__all__ = ["check_fits", "halvings_to"]

Size = tuple[int, int]


def check_fits(size: Size, shown: Size) -> None:
    """Raise ValueError unless `size` and `shown`, (height, width), have one ratio, but for a pixel."""
    (height, width), (shown_height, shown_width) = size, shown
    if abs(shown_width * height - shown_height * width) < max(size):
        return
    if height > width:
        fitting = max(1, round(shown_height * width / height)), shown_height
    else:
        fitting = shown_width, max(1, round(shown_width * height / width))
    raise ValueError(
        f"expected a size in the ratio of {width} x {height}, such as {fitting[0]} x {fitting[1]}, "
        f"got {shown_width} x {shown_height}"
    )


def halvings_to(size: Size, shown: Size, levels: Sequence[int], doublings: int) -> int:
    """How often to halve a canvas of `size` (height, width) so that it has just the pixels for `shown`.

    That is one of `levels`, from 0 up; or less than 0, for a canvas that is larger, in steps of `doublings`.
    Raises SizeError if that is larger than any may be.
    """

    def is_enough(halvings: int) -> bool:
        return all(side >= wanted for side, wanted in zip(halved_size(size, halvings), shown, strict=True))

    if is_enough(0):
        return max(halvings for halvings in levels if is_enough(halvings))
    halvings = 0
    while not is_enough(halvings):
        halvings -= doublings
    height, width = halved_size(size, halvings)
    if max(height, width) > LARGEST_SIDE:
        raise SizeError(
            f"{shown[1]} x {shown[0]} would be reduced from {width} x {height}, which is larger than "
            f"{LARGEST_SIDE} a side: give less"
        )
    return halvings

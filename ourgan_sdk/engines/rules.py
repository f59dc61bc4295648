"""What windows a runtime takes."""

from dataclasses import dataclass

__all__ = ["WindowRules"]


@dataclass(frozen=True)
class WindowRules:
    """Limits that a runtime sets to a network's input, in pixels."""

    alignment: int = 1
    """Both sides are multiples of it."""
    window: tuple[int, int] | None = None
    """(height, width), where the runtime was built for one size alone."""
    largest_tensor: int = 1 << 31
    """Elements that no tensor inside the network may exceed."""

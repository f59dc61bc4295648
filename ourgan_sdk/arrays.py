"""The array types that modules of this package hand to each other."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Picture", "Tensor"]

Picture: TypeAlias = npt.NDArray[Any]
"""A picture or rows of one: (height, width, 3), RGB; uint8, uint16, or float32 in [0, 1]."""

Tensor: TypeAlias = npt.NDArray[np.float32]
"""What networks take and give: (1, channels, height, width)."""

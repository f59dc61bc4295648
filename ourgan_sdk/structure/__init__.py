"""Where a picture's layout comes from: the small base picture that everything else enlarges."""

from .network import render_structure

__all__ = ["render_structure"]

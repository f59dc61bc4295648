"""Where a picture's layout comes from: the small base picture that everything else enlarges."""

from .network import NetworkStructure, render_structure

__all__ = ["NetworkStructure", "render_structure"]

"""How like its photograph a bundle's pictures are, one module per family of metrics.

Pictures are tensors (3, H, W), float32 in [0, 1], RGB; two that are compared have the same size.
"""

"""Training on pictures of every size, at their native size: a generator of continuous coordinates and scale.

Chai, Gharbi, Shechtman, Isola, Zhang, "Any-resolution training for high-resolution image synthesis"
(ECCV 2022).
"""

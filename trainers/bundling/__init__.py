"""From trained networks to a bundle: ONNX, in strips and half the bytes; halos, memory, preview."""

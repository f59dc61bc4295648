"""Training: from one photograph to a bundle (PyTorch)."""

"""What is done to an ONNX network before a runtime sees it, and what its graph alone tells."""

"""Steps 2 and 3: training upscalers, and those that a run starts from."""

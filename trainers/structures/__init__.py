"""Step 1: training structures, one module per kind."""

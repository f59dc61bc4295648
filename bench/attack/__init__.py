"""Faults on purpose, thousands of them, and what came of each: `python -m bench.attack`."""

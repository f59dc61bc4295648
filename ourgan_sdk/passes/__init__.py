"""Passes: a x4 network applied to a whole picture, tile by tile."""

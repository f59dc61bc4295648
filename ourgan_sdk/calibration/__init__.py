"""How much tiles must overlap: measured on a network, read off its graph, written into a bundle."""

"""How much tiles must overlap, measured on a network."""

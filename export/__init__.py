"""From trained networks to what other programs load: commands."""

"""From trained networks to what a runtime loads."""

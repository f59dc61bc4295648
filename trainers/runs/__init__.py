"""Run directories: what training writes, reads again, and guards itself with."""

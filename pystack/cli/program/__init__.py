"""The program that `pystack run` runs: what its words stand for, and how it ends."""

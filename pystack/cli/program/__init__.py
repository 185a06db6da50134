"""The program that `pystack run` runs: what its words stand for (`interpreter`), how it ends
(`ending`)."""

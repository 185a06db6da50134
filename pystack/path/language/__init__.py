"""How impairments are written: words, units, what they mean, and the stages that they become."""

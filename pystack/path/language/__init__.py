"""How impairments are written: from the text to the stages that it stands for.

Step by step: `tokens` (the text as tokens), `vocabulary` (which word takes which values), `parse`
(the parser, which calls both), `spec` (the plain data that it gives) and `build` (the stages of
that). `units` reads numbers with units for all of them.
"""

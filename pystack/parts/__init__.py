"""The parts of TCP that can be replaced: how they are known, made, guarded and blamed.

`variants` has the kinds, the names and what makes a part of each; `entry_points` finds those of
installed packages, `configured` checks the settings that choose them. `guard` makes a `PartError`
of what a user's part raises, and `faults` says which part is at fault. What the parts do stands in
`tcp.policies`, `tcp.timing` and `cc`.

This folder stays Python where the core is compiled: it looks things up by name and makes classes.
"""

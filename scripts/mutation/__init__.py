"""What `scripts/mutate` does: breaks a room on purpose, one line at a time, and runs its tests.

A line that can be broken without a test failing is a line that no test holds. Kept tools were tried
first, and none fits:

- cosmic-ray 8.7 changes the checkout itself (an interruption leaves it broken) and starts the whole
  suite for each change; it takes annotations such as `int | None` for arithmetic.
- mutmut 3.8 works in a copy and is quick, but changes function bodies only: no constant of a
  module (an interval, a limit), and it removes no statement and no call, which is where most of our
  gaps were. Its wrapper adds a frame to each call, which `parts.faults` would see. No sampling.
- Neither knows C.

So the changes are ours (`python_changes`, `c_changes`), about 300 lines; which tests execute a line
is found out by coverage.py (`covering`), and pytest runs them, the likeliest first (`trial`).
"""

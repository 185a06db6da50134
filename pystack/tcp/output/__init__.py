"""What leaves now?

`output` looks at the marks and decides; `emit` puts one segment into the batch.
"""

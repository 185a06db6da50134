"""Bottlenecks: a rate, a queue, and what decides which packets are dropped or marked.

`bottleneck` is the line that carries so many bits a second, `traced` one whose rate is a recording.
`discipline` is the contract of what waits before it, and drop-tail; `red`, `codel` and `fq_codel`
are the others, `ack_filter` one in which later acknowledgements replace earlier ones.
"""

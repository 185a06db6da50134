"""How long is waited?

`timers` keeps every deadline, `rtt` the retransmission timeout and the least round-trip time,
`delayed_ack` says when what has come is acknowledged, `pacing` when the next run may leave. What
happens when a deadline passes is in `timeouts`.
"""

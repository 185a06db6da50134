"""How long is waited?

`timers` keeps every deadline, `rtt` the least round-trip time and the back-off of the timeout,
`delayed_ack` says when what has come is acknowledged, `pacing` when the next run may leave. What
happens when a deadline passes is in `timeouts`.
"""

"""How long is waited?

`timers` keeps every deadline, `rtt` turns round-trip times into the retransmission timeout,
`delayed_ack` says when what has come is acknowledged, `pacing` when the next segments may leave.
What happens when a deadline passes is in `timeouts`.
"""

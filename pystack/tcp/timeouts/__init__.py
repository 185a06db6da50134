"""What happens when a deadline passes?

`timer_handlers`: every deadline's handler, the retransmission timeout and FIN_WAIT_2 among them.
`probes`: of a zero window, and keep-alive. `retry_limits`: how long a silent peer is waited for.
"""

"""What happens when a deadline passes?

`timer_handlers`: the retransmission timeout, the zero-window probe, keep-alive and FIN_WAIT_2.
"""

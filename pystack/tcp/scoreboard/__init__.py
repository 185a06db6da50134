"""What was sent, and what has become of it?

`sent_range` is a range of numbers that was sent in one go, `send_order` the queue of them by time,
`scoreboard` what the ACKs say of all of them. Pure data: no TCB is known here.
"""

"""What was sent, and what has become of it?

`sent_range` is a range of numbers that was sent in one go, `send_order` the queue of them by time.
`in_flight` is the list of all of them with its totals and the questions to it, `scoreboard` what
happens to them, `ack_result` what one ACK has told. Pure data: no TCB is known here.
"""

"""What does a segment that arrives change?

`segment_arrives` is SEGMENT ARRIVES of RFC 9293 §3.10.7 in its order, `syn_sent` the same for that
state; `ack` is its fifth step, `urgent` the sixth, `receive` the seventh and eighth. `handshake` is
where a connection becomes established. Nothing is sent here: marks are set in `tcb.pending`.
"""

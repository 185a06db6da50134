"""TCP itself (RFC 9293 and its relatives): one connection, no I/O, no clock, no randomness.

Start with `segment_arrives`, then `ack`, `receive`, `output`; `tcb` names every variable.
"""

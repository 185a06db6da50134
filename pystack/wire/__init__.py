"""What a packet looks like: from octets to fields, and from fields to octets. No policy.

The codec, in C (`fast`) and in Python (`pure`, made of `parse`, `build`, `checksum` and
`descriptor`), does what happens for each segment; `codec` says what its functions are and picks
one. `segment` is the parsed segment, `batch` many packets in one buffer, `flow_key` the name of a
connection, `seq` sequence arithmetic, `consts` the numbers. `layout` finds the parts of a packet.
Off the path of segments: `ip_headers` (all fields in one object), `ip_fields` (single ones),
`udp`, `offload` (what an interface would do), `address` (text and bytes) and `show` (a line for
each packet).
"""

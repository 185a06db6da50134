"""What a packet looks like: from octets to fields, and from fields to octets. No policy.

The folder `codec`, in C and in Python, does what happens for each segment. `segment` is the parsed
segment, `batch` many packets in one buffer, `arenas` those buffers, `flow_key` the name of a
connection, `seq` sequence arithmetic, `consts` the numbers.

Off the path of segments: `ip_headers` (all fields in one object), `ip_fields` (single ones), `udp`,
`offload` (what an interface would do), `address` (text and bytes) and `show` (a line for each
packet).
"""

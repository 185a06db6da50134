"""UDP (RFC 768), without I/O and without sockets: it stands on `pystack.ip` alone.

`endpoints` has who has which port and whom a datagram is for, `udp_input` takes datagrams and ICMP
errors that come, `udp_output` sends. The header is `wire.udp`'s.
"""

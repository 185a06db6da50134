"""What is kept of a connection?

`states` has the states of RFC 9293 and the arrows between them, `sendbuf` and `recvbuf` the user's
octets in each direction, `stack_shared` what all connections of one stack have in common.
"""

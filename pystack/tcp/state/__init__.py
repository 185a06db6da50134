"""What is kept of a connection?

`variables` declares what its segments touch, `records` what is touched rarely: each variable with
its unit, its source and the file that writes it. `states` has the states of RFC 9293 and the arrows
between them, `sendbuf` and `recvbuf` the user's octets in each direction, `stack_shared` what all
connections of one stack have in common.
"""

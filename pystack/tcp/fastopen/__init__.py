"""What of data on a SYN (TCP Fast Open, RFC 7413)?

`active`: the client, what its SYN carries and what the SYN,ACK makes of it; `passive`: the server,
a connection that carries data while it is in SYN_RECEIVED. Which cookies a server gives is in
`policies.fastopen_cookies`, which ones a client has in `state.fastopen_cache`, how the option is
written in `header.fastopen_option`; whether a listener takes a SYN at once, in the stack's
`fast_accepts`.
"""

"""What do the options and the window of a segment say?

`options` is what the two SYNs agree on, and how options are written; `timestamps` the peer's clock
and PAWS; `fastopen_option` a cookie of TCP Fast Open; `window` the receive window that we offer;
`sack_blocks` which blocks an ACK reports.
"""

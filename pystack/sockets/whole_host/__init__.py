"""`host` is on top of TCP's and UDP's sockets, and makes them."""

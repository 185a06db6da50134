"""What does `pystack serve` serve?

`http_server` has HTTP with the page of the connection, `small_servers` echo, discard, daytime and
chargen.
"""

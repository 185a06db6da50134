"""UDP's socket calls.

`udp_state` is what is kept, `udp_socket` the class that users have, one line to a call; what a call
does is in `udp_calls`. `udp_options` is the table of options.
"""

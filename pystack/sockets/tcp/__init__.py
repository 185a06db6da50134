"""TCP's socket calls.

`tcp_state` is what is kept, `tcp_socket` the class that users have, one line to a call. What a call
does is in `tcp_connection_calls` (bind to close), `tcp_send_recv` and `tcp_poll`; which errno is
pending in `tcp_errors`. Of options `tcp_options` is the table, with `tcp_fastopen_options`, and
`tcp_settings` keeps the values; `tcp_info` is what TCP_INFO tells.
"""

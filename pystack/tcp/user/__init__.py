"""What may the user ask for?

`user_calls`: OPEN, SEND, CLOSE, ABORT (RFC 9293 §3.10.1 to §3.10.5). `user_settings`: what
setsockopt sets.
"""

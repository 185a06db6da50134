"""pystack: a userspace TCP in Python over a Linux TUN device."""

"""Loops that choose, address by address, between a stack and the kernel."""

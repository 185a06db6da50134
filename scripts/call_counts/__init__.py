"""Counts the function calls of what a stack does most: a segment, a datagram, a socket call."""

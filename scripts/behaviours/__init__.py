"""Goodput of every congestion control, and the laws it has to keep, in virtual time."""

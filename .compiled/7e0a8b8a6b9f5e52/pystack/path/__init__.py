"""What lies between two stacks, or between a stack and its device: captures, faults, links.

Knows packets, no TCP; makes no I/O and reads no clock: times, random sources and files are
arguments.
"""

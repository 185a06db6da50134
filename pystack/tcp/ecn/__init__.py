"""How are congestion marks reported and answered?

`ecn` is what the other folders call: the agreement in the SYNs, ECT on what leaves, and the echo of
RFC 3168. `accecn` is accurate feedback (RFC 9768), which counts marks.
"""

"""Bytes to ints and back: IP and TCP headers, checksums, sequence arithmetic. No policy."""

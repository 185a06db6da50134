"""What `scripts/side-by-side` runs: pystack and the kernel as senders over one relay."""

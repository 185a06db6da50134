"""What `scripts/bench` runs: measurements, and the two programs that are measured."""

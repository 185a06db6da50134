"""Experiments: what is recorded of a connection."""

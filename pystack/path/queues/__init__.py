"""Bottlenecks: a rate, a queue, and what decides which packets are dropped or marked."""

"""Congestion control: each algorithm is told facts and owns cwnd, ssthresh and pacing rate."""

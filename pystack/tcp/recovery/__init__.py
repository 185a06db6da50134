"""What follows from a loss, and how much may be in flight?

`recovery` has the states of recovery and how each ACK changes them; `sack_input` puts the blocks of
an ACK on the scoreboard, `newreno_recovery` counts duplicate ACKs where there are none. `prr` says
how much leaves during recovery, `tlp` probes a silent tail, `undo` finds out whether it was a loss
at all, `delivery_rate` how fast data arrives, `cwnd_validation` whether the window is used;
`cc_facts` tells the congestion control of all that. `reordering` is how far segments overtake
each other.
`mtu_probing` searches for the path's MTU by segments that may be lost for their size. What
counts as lost is judged by a part (`policies.loss_detection`, `policies.rack`).
"""

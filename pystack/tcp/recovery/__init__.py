"""What follows from a loss, and how much may be in flight?

`recovery` has the states of recovery and how each ACK changes them; `prr` how much leaves during
recovery, `tlp` the probe of a silent tail, `undo` whether it was a loss at all, `delivery_rate` how
fast data arrives, `cwnd_validation` whether the window is used. What counts as lost is judged by a
part (`policies.loss_detection`, `policies.rack`).
"""

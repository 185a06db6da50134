"""The network of a world: the clock with what is to happen, links, and the nodes between them.

`events` is the clock and the heap of what is to happen. `link_direction` and `gso_link_direction`
(runs in one piece) carry the packets of a link. `node` moves packets and time of one host, `router`
forwards. `digest` makes one number of a whole run.
"""

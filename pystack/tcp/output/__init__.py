"""What leaves now?

`output` looks at the marks, decides, and sends new data and FIN; `retransmit` sends again,
`acks_and_probes` sends what has no payload, `mtu_probe` a larger segment than the path is known to
take. `emit` puts one segment into the batch, `sent` notes
that it has left.
"""

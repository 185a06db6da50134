"""What can be replaced in a connection, and by which classes?

`contracts` has the base classes, each told of `state.variables` (`part` is the base of all).
`experimental_option` and `isn` have theirs beside them. The classes there are: `ack_policies`,
`rtt_estimators`, `nagle`, `initial_window`, `isn`, and what is lost by `loss_detection` (RFC 6675,
NewReno) and `rack`. Which names they have is said in `parts.variants`; congestion controls are in
`cc`.
"""

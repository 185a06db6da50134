"""What can be replaced in a connection, and by which classes?

`contracts` has the base class of all parts. The kinds: `ack_policies` (when to acknowledge),
`nagle` (whether a small segment waits), `initial_window`, `isn`, `loss_detection` and `rack`
(what is lost), `experimental_option`. Which names they have is said in `pystack.parts`.
"""

"""TCP itself (RFC 9293 and its relatives): one connection, no I/O, no clock, no randomness.

`tcb` names every variable; a segment comes in by `input`, everything leaves by `output`. Each
folder answers one question and says in its head how its files divide it. A folder imports only
those that stand before it here:

    scoreboard  what was sent, and what has become of it?
    state       what is kept of a connection besides?
    policies    what can be replaced, by which classes?
    tcb         the transmission control block, which puts all that together
    timing      how long is waited: for a timeout, an ACK, the next segment?
    header      what do options and window of a segment say?
    ecn         how are congestion marks answered and told?
    recovery    what follows from a loss, and how much may be in flight?
    timeouts    what happens when a deadline passes?
    input       what does a segment that arrives change?
    output      what leaves now?
    user        what may the user ask for?
"""

"""TCP itself (RFC 9293 and its relatives): one connection, no I/O, no clock, no randomness.

`tcb` and `state` have every variable; a segment comes in by `input`, everything leaves by `output`.
Each folder answers one question and says at its head how its files divide it. A folder imports only
those that stand before it here:

    scoreboard  what was sent, and what has become of it?
    state       what is kept of a connection?
    policies    what can be replaced, by which classes?
    (this one)  a connection: `tcb`; what is done to it from everywhere: `transitions`,
                `soft_errors`, `recording`
    timing      how long is waited: for a timeout, an ACK, the next segment?
    header      what do options and window of a segment say?
    ecn         how are congestion marks reported and answered?
    recovery    what follows from a loss, and how much may be in flight?
    fastopen    what of data on a SYN?
    timeouts    what happens when a deadline passes?
    input       what does a segment that arrives change?
    output      what leaves now?
    user        what may the user ask for?

Words: `on_…` is told that something has happened; `take_…` hands something over once; `is_…`,
`has_…` and `may_…` only ask. `timing.timers` arms deadlines, `output` does what the marks in
`pending` say, and the stack tells the owner of `events`.
"""

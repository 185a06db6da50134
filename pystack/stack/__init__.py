"""One host without I/O: many connections, and what a packet that comes in is for.

How the files divide it, from what is kept to what acts on it:

- records: `listener` (LISTEN) with `fast_accepts` (its TCP Fast Open), `half_open` (SYN_RECEIVED of
  a passive open), `time_wait`, and `wakeups`, the heap of their deadlines and those of TCBs;
  `host_state`: all that a host keeps;
- `connections`: how connections come, change hands and go;
- a segment comes in: `demux` finds what it is for; `passive_open` takes what is for a listener or
  for a half-open connection, `no_connection` answers what nothing takes by a RST;
- any other packet comes in: `not_tcp_input` (fragments, UDP, bad packets), `icmp_input` (which
  connection an ICMP error is about, and what it does to it);
- `not_tcp_output`: what ICMP and UDP send;
- `host`: the loop over all this, for whoever moves the packets; `run_input` feeds it the pieces of
  a run one by one.

TCP itself is in `pystack.tcp`, IP in `pystack.ip`, UDP in `pystack.udp`.
"""

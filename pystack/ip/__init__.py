"""IP as a host sees it: its addresses, fragments, ICMP, path MTUs, ports. It knows no connection.

How the files divide it:

- `addresses` (own, broadcast, the source to take), `address_checks` (which packets are taken by
  their addresses), `loopback` (packets of a host to itself), `ports` (bound, used, ephemeral);
- `route_metrics`: what a route asks of the connections that go by it;
- `fragments`: packets put together, and cut; `path_mtu`: what is known of paths;
- `icmp_messages`: types, codes and what an error means; `icmp`: messages read, echo answered,
  errors made; `icmp_limit`: how many errors may leave; `reports`: what an error queue holds;
- `keyed_hash`: numbers that outsiders must not guess;
- `ip_state`: all that a host keeps of these.
"""

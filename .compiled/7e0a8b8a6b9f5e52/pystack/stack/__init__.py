"""Many connections, still no I/O: the host, its listeners, ICMP, fragments and path MTUs."""

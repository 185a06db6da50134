"""What a host knows of IP: addresses, fragments, ICMP, limits, path MTUs, ports."""

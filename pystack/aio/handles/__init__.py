"""What a program holds: transports, servers, sockets and descriptors on a stack."""

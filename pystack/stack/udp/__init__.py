"""UDP (RFC 768): who has which port, datagrams in, datagrams out."""

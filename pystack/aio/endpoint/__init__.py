"""asyncio's calls on one host: connect, listen, datagrams, names, and `Stack` itself."""

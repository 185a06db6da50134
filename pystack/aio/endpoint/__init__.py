"""What do asyncio's calls do on one host?

The calls are written once, for a `Network`: that of an `Endpoint` knows its own host only, that of
an event loop (`pystack.aio.loop`) all its stacks, and the kernel.

    network       where the calls look for the host of an address
    resolve       what a name stands for
    connect       each address of a name in turn, or in a race (RFC 8305)
    listen        where a server listens, and its sockets
    datagram      where datagrams go to and come from, and their sockets
    streams       what serves one accepted connection of `start_server`
    open_handles  what is open on a host: made here, and closed with it
    endpoint      `Endpoint`: the calls, and closing; what `Stack` and a simulated host share
    stack         `Stack`: an endpoint with a device and a driver, from loop to loop
    bind_hint     what to say when a program asks the kernel for an address of a stack
"""

"""What does a program hold: a transport, a server, a socket, a descriptor?

Nothing here knows an `Endpoint` or an event loop of ours: what it needs of them is in `contracts`.

    contracts         what handles ask of a stack and of a router
    numbers           families, levels, options and flags: the system's and Linux's
    addresses         16 bytes of what a user calls an address

    transport_base    what both kinds of transport have in common: a socket, and its end
    stream            `Transport`, a connection
    datagram          `DatagramTransport`, a UDP socket
    server            `Server`, which takes connections
    transport_socket  `get_extra_info("socket")`: options and names
    tls               how a connection is secured: asyncio's own TLS
    sendfile          a file on its way into a connection
    asyncio_own       what asyncio keeps to itself, and is needed here

    socket_state      the stack's side of a `socket.socket`: what is inside, who watches, polling
    socket_base       the calls of such a socket
    stack_socket      `StackSocket`, one that is a stack's from the beginning
    lazy_socket       `LazySocket`, the kernel's until an address decides; plain ones adopted
    known_fds         sockets by the number of their descriptor
    connecting        an active open that is awaited

    ready_fd          descriptors that poll as a socket of a stack does
    fd_bridge         a connection as a real descriptor: the loop carries the data
    blocking          a socket that blocks in another thread, by such a descriptor
"""

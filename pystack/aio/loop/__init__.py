"""Which host is meant, or is it the kernel?

    routing           which stack an address is for: of a loop, and of a thread of a program
    names             what names of stacks stand for
    given_sockets     which stack a socket belongs to that a user hands in
    connection_calls  create_connection, create_server, connect_accepted_socket
    datagram_calls    create_datagram_endpoint
    dual_datagram     an endpoint that has a socket at a stack and one at the kernel
    socket_calls      sock_recv, sock_sendall, sock_connect and the others
    watches           add_reader, add_writer
    calls             all of them as methods: mixed in before a loop's own class
    event_loop        `EventLoop`, and `attached`
    os_calls          functions of `os` that are told when a program calls them: forks
    install           a whole program on a stack: its loops, its sockets (`pystack run`)
    ownership         which process of the program uses the stack, after forks
    known_names       names of the stack in Python's own `socket.getaddrinfo`
    refusing          who answers while no loop of the program has the stack
"""

"""Two sans-IO hosts that hand their packets to each other: 1 MB each way, checked."""

import hashlib

from pystack import Host
from pystack.sockets.constants import AF_INET6, SO_REUSEADDR, SOL_SOCKET

SIZE = 1_000_000
TEXT = hashlib.shake_256(b"there").digest(SIZE)

a = Host(["fd00::1/64"], secret=bytes(32))
b = Host(["fd00::2/64"], secret=bytes(range(32)))
now_us = 1


def pass_packets() -> None:
    global now_us
    moved = True
    while moved:
        moved = False
        now_us += 1000
        for sender, receiver in ((a, b), (b, a)):
            sender.on_time(now_us)
            while packets := sender.transmit(now_us):
                receiver.receive(packets, now_us)
                moved = True


listener = b.socket(AF_INET6)
listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
listener.bind(("fd00::2", 7))
listener.listen(1)
client = a.socket(AF_INET6)
try:
    client.connect(("fd00::2", 7))
except BlockingIOError:
    pass_packets()
server, _ = listener.accept()
for sender, receiver in ((client, server), (server, client)):
    sent, got = 0, b""
    while len(got) < SIZE:
        try:
            while sent < SIZE:
                sent += sender.send(TEXT[sent : sent + 65536])
        except BlockingIOError:
            pass
        pass_packets()
        try:
            while text := receiver.recv(65536):
                got += text
        except BlockingIOError:
            pass
        now_us += 50_000
    assert got == TEXT
try:
    client.recv(1)
except BlockingIOError:
    print("done")

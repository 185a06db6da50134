"""The receiver of all runs: the kernel, for every sender. Counts what comes, by slots of time.

    python -m scripts.side_by_side.receiver HOST

prints "ready", and answers each line on stdin with a line of JSON: the connections since the last
one, in the order of their coming, as {"peer": address, "first_ms": when the first octet came, by a
clock that all connections share, "slots": octets per SLOT_MS from then on}.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

from scripts.side_by_side.places import PORT, SLOT_MS
from tests.live.punctual import be_punctual


@dataclass
class Taken:
    """What one connection brought."""

    peer: str
    first_ms: float = 0
    slots: list[int] = field(default_factory=list)

    def note(self, octets: int) -> None:
        """That many octets have come just now."""
        now_ms = time.monotonic_ns() / 1e6
        if not self.slots:
            self.first_ms = now_ms
        slot = int((now_ms - self.first_ms) / SLOT_MS)
        self.slots += [0] * (slot + 1 - len(self.slots))
        self.slots[slot] += octets


def serve(host: str) -> None:
    buffer = bytearray(1 << 18)
    taken: list[Taken] = []
    with selectors.DefaultSelector() as selector, socket.create_server((host, PORT)) as listener:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    sock, address = listener.accept()
                    taken.append(Taken(address[0]))
                    selector.register(sock, selectors.EVENT_READ, taken[-1])
                elif key.fileobj is sys.stdin:
                    if not sys.stdin.readline():
                        return
                    print(json.dumps([vars(one) for one in taken]), flush=True)
                    taken.clear()
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    try:
                        octets = key.fileobj.recv_into(buffer)
                    except ConnectionResetError:
                        octets = 0
                    if octets:
                        key.data.note(octets)
                    else:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()


if __name__ == "__main__":
    be_punctual()
    serve(sys.argv[1])

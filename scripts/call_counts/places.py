"""Where the operations are counted, and what each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOST, STACK, RUN = "host", "stack", "run"
PLACES: Final = {HOST: "Host", STACK: "Stack", RUN: "pystack run"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table. `name` is on the command line, with `-` for `_` of the methods."""

    name: str
    title: str
    about: str

    @property
    def method(self) -> str:
        """What it is called in `on_host` and `on_loop`."""
        return self.name.replace("-", "_")


OPERATIONS: Final = (
    Operation("data-in", "a data segment in", "in order, its ACK delayed, given to the protocol"),
    Operation("ack-in", "an ACK in", "for a run of two segments"),
    Operation("run-out", "a run out", "two segments that leave in one piece"),
    Operation("datagram-in", "a UDP datagram in", "given to the protocol"),
    Operation("datagram-out", "a UDP datagram out", "`sendto`, until it is at the device"),
    Operation("connect", "sock.connect()", "the call alone"),
    Operation("send", "sock.send(1)", "the call alone"),
    Operation("recv", "sock.recv()", "the call alone, with 1000 bytes there"),
    Operation("create-connection", "create_connection()", "with its handshake"),
    Operation("accept", "a connection in", "from the SYN until `connection_made`"),
)
NOT_ON_A_HOST: Final = ("create-connection", "accept")  # they are asyncio's

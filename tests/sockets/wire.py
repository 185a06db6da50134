"""Two hosts back to back in virtual time: what the tests of the socket calls run on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pystack.config import Config
from pystack.sockets import Host, Socket
from pystack.sockets.constants import AF_INET, AF_INET6
from pystack.wire.batch import Packet

DELAY_US = 500  # one way

ADDRESSES = {AF_INET: ("198.18.0.1", "198.18.0.2"), AF_INET6: ("fd00::1", "fd00::2")}


@dataclass
class Wire:
    """`near` and `far`, and packets on their way. `drop(sender, packet)` may lose some."""

    near: Host
    far: Host
    now_us: int = 1_000_000
    drop: Callable[[Host, bytes], bool] = lambda sender, packet: False
    sent: list[tuple[Host, bytes]] = field(default_factory=list)
    _flying: list[tuple[int, Host, Packet]] = field(default_factory=list)

    def _collect(self) -> None:
        for host, other in ((self.near, self.far), (self.far, self.near)):
            while True:
                packets = list(host.transmit(self.now_us))
                if not packets:
                    break
                for view, gso_size, state in packets:
                    packet = bytes(view)
                    self.sent.append((host, packet))
                    if not self.drop(host, packet):
                        arrival = self.now_us + DELAY_US
                        self._flying.append((arrival, other, (packet, gso_size, state)))

    def run(self, for_us: int = 20_000) -> None:
        """Let so much time pass."""
        end_us = self.now_us + for_us
        self._collect()
        while True:
            times = [item[0] for item in self._flying]
            times += [at for host in (self.near, self.far) if (at := host.next_deadline())]
            next_us = max(min(times, default=end_us + 1), self.now_us)
            if next_us > end_us:
                break
            self.now_us = next_us
            due = [item for item in self._flying if item[0] <= next_us]
            self._flying = [item for item in self._flying if item[0] > next_us]
            for host in (self.near, self.far):
                host.receive([packet for _, to, packet in due if to is host], next_us)
                if (at := host.next_deadline()) and at <= next_us:
                    host.on_time(next_us)
            self._collect()
        self.now_us = end_us


def make_wire(*, mtu: int = 1500, **settings: Any) -> Wire:
    """Two hosts; keyword arguments are settings by their sysctl names."""
    near, far = (
        Host(
            (f"198.18.0.{number}/24", f"fd00::{number}/64"), secret=bytes([number]) * 16, mtu=mtu,
            config=Config(**settings),
        )
        for number in (1, 2)
    )  # fmt: skip
    return Wire(near, far)


def listening(
    host: Host, family: int = AF_INET, *, backlog: int = 5, options: Iterable[tuple[Any, ...]] = ()
) -> Socket:
    """A listening socket at any address and a free port."""
    sock = host.socket(family)
    for option in options:
        sock.setsockopt(*option)
    sock.bind(("", 0))
    sock.listen(backlog)
    return sock


def address_of(wire: Wire, listener: Socket, family: int | None = None) -> tuple[str, int]:
    """Where to connect to for a listener of the far host."""
    family = family or listener.family
    return ADDRESSES[family][listener.host is wire.far], listener.getsockname()[1]


def connected(
    wire: Wire, family: int = AF_INET, *, near: Iterable[tuple[Any, ...]] = (),
    far: Iterable[tuple[Any, ...]] = (),
) -> tuple[Socket, Socket]:  # fmt: skip
    """A connection: the near host's socket, which connected, and the far host's."""
    listener = listening(wire.far, family, options=far)
    client = wire.near.socket(family)
    for option in near:
        client.setsockopt(*option)
    client.connect_ex(address_of(wire, listener))
    wire.run()
    server, _ = listener.accept()
    assert client.connect_ex(address_of(wire, listener)) == 0
    listener.close()
    return client, server

"""The `tcp` fixture: a `pystack.Host` under a `Driver`, and the socket calls tests begin with."""

from __future__ import annotations

import ipaddress
import struct
from contextlib import suppress
from typing import Any

from pystack.sockets import Host
from pystack.tcp.state.states import NAMES
from tests.kit.driver import Driver, Raw
from tests.kit.flow import Flow, pattern
from tests.kit.report import Mismatch
from tests.kit.variants import Variant

ADDRESSES = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
PREFIX = {4: 24, 6: 64}
AF_INET, AF_INET6, SOCK_STREAM = 2, 10, 1
SECRET = b"sixteen octets or more, for tests"


class StateTrace:
    """What the host tells a trace; the driver's exchange shows state changes in between."""

    def __init__(self, kit: Tcp) -> None:
        self._kit = kit

    def packet(self, inbound: bool, packet: object, now_us: int) -> None:
        """The kit has its own record of packets."""

    def state(self, key: bytes, old: int, new: int, now_us: int) -> None:
        self._kit.states.append((key, old, new))
        self._kit.trace.add(self._kit.now_us, "·", f"{NAMES[old]} -> {NAMES[new]}")


class Tcp(Driver):
    """One host and the calls to open connections on it.

    `settings`: `mtu`, `gso`, `checksum_offload`, `isn` (False: the host's own generator), and
    settings under their sysctl names.
    """

    def __init__(self, variant: Variant, settings: dict[str, Any]) -> None:
        self.variant = variant
        self.version = variant.version
        local, remote = ADDRESSES[self.version]
        settings = dict(settings)
        injected = settings.pop("isn", True)
        host: Any = Host(
            tuple(f"{ADDRESSES[family][0]}/{PREFIX[family]}" for family in (4, 6)),
            secret=settings.pop("secret", SECRET),
            mtu=settings.pop("mtu", variant.mtu),
            gso=settings.pop("gso", variant.offload),
            checksum_offload=settings.pop("checksum_offload", variant.offload),
        )
        iss = variant.iss if injected else None
        super().__init__(host, local, remote, iss=iss, irs=variant.irs)
        self.host: Any = host
        if injected:
            host.isn = lambda key, now_us: variant.iss
        for name, value in settings.items():
            host.sysctl(name, value)
        host.trace = StateTrace(self)

    def _batch(self) -> list[Raw]:
        """In a crowded variant the batch is full before the first packet, then after it."""
        if not self.variant.crowded:
            return super()._batch()
        tx = self.host.tx
        packets: list[Raw] = []
        room = tx.capacity
        for tx.capacity in (0, 1, room):
            packets += super()._batch()
        if self.host.dirty and not packets:
            raise Mismatch("transmit gave nothing, though a connection has more to send")
        return packets

    # -- socket calls ----------------------------------------------------------------------------

    def socket(self, version: int | None = None) -> Any:
        """A new stream socket of the variant's (or that) address family."""
        family = AF_INET if (version or self.version) == 4 else AF_INET6
        return self.host.socket(family, SOCK_STREAM)

    def address(self, port: int, host: str | None = None) -> tuple[Any, ...]:
        """A socket address of the variant's family; the peer's by default."""
        name = self.remote if host is None else host
        return (name, port) if self.version == 4 else (name, port, 0, 0)

    def listen(self, port: int = 80, backlog: int = 8) -> Any:
        """A listening socket on every address of the family."""
        listener = self.socket()
        listener.bind(self.address(port, "0.0.0.0" if self.version == 4 else "::"))
        listener.listen(backlog)
        return listener

    def connect(self, port: int = 80, sock: Any = None) -> Any:
        """A socket that is connecting to the peer; its SYN is still to be claimed."""
        sock = sock or self.socket()
        with suppress(BlockingIOError):
            sock.connect(self.address(port))
        return sock

    def data(self, length: int, start: int = 0) -> bytes:
        """`length` octets of the stream that scripts carry in both directions."""
        return pattern(start, length)

    # -- handshakes through the front door ---------------------------------------------------------

    def established(
        self,
        passive: bool = True,
        *,
        mss: int | None = 1460,
        wscale: int | None = None,
        ts: int | None = None,
        sack: bool = False,
        ecn: bool = False,
        win: int = 65535,
        rtt: float = 0.1,
        flow: str = "",
        listener: Any = None,
        sock: Any = None,
    ) -> Any:
        """A connected socket, after a handshake in which the peer offers these options.

        `passive`: the peer connects to our port 80 (or to `listener`); else we connect to its
        port 80. `ts` is the peer's first TSval (its clock ticks in ms); our own first one is
        100 in scripts from then on. `win` is the window field of all the peer's segments until
        a script says otherwise. With `ecn` who opens asks for it, and is answered so (`tcp_ecn`
        must say so too). The last ACK of an active handshake is claimed.
        """
        __tracebackhide__ = True
        if passive:
            return self._accepted(mss, wscale, ts, sack, ecn, win, rtt, flow, listener)
        return self._connected(mss, wscale, ts, sack, ecn, win, rtt, flow, sock)

    def _accepted(
        self, mss: int | None, wscale: int | None, ts: int | None, sack: bool, ecn: bool, win: int,
        rtt: float, flow: str, listener: Any,
    ) -> Any:  # fmt: skip
        __tracebackhide__ = True
        listener = listener or self.listen()
        asks, agrees = ("EW", "E") if ecn else ("", "")
        ours = "..." if ts is None else f"mss *,{'sackOK' if sack else 'nop,nop'}"
        ours += "" if ts is None else f",TS val 100 ecr {ts},..."
        stamp = "" if ts is None else f"<nop,nop,TS val {ts + round(rtt * 1000)} ecr 100>"
        self.play(
            f"""
            +0     {flow}< S{asks} 0:0(0) win {win} <{offer(mss, wscale, ts, sack)}>
            +0     {flow}> S.{agrees} 0:0(0) ack 1 <{ours}>
            +{rtt} {flow}< .  1:1(0) ack 1 win {win} {stamp}
            +0     quiet
            """
        )
        return listener.accept()[0]

    def _connected(
        self, mss: int | None, wscale: int | None, ts: int | None, sack: bool, ecn: bool, win: int,
        rtt: float, flow: str, sock: Any,
    ) -> Any:  # fmt: skip
        __tracebackhide__ = True
        sock = self.connect(sock=sock)
        asks, agrees = ("EW", "E") if ecn else ("", "")
        stamps = self.host.config.tcp_timestamps
        sacks = "sackOK" if self.host.config.tcp_sack else "nop,nop"
        ours = f"mss *,{sacks},TS val 100 ecr 0,..." if stamps else "..."
        later = 100 + round(rtt * 1000)
        stamp = "" if ts is None else f"<nop,nop,TS val {later} ecr {ts}>"
        self.play(
            f"""
            +0     {flow}> S{asks} 0:0(0) <{ours}>
            +{rtt} {flow}< S.{agrees} 0:0(0) ack 1 win {win} <{offer(mss, wscale, ts, sack, 100)}>
            +0     {flow}> .  1:1(0) ack 1 {stamp}
            """
        )
        return sock

    # -- what can be asked -----------------------------------------------------------------------

    def history(self, flow: str = "") -> list[str]:
        """Every state that a connection has been in, in order; empty if there never was one."""
        key = flow_key(self.flow(flow))
        changes = [(old, new) for known, old, new in self.states if known == key]
        return [NAMES[changes[0][0]], *(NAMES[new] for _, new in changes)] if changes else []

    def state(self, flow: str = "") -> str:
        """The state of a connection now; CLOSED if there is none."""
        return (self.history(flow) or ["CLOSED"])[-1]

    def packed(self, text: str) -> bytes:
        return ipaddress.ip_address(text).packed


def flow_key(flow: Flow) -> bytes:
    """A connection's name in the host's trace: addresses as 16 octets, and both ports."""
    local, remote = (
        address if len(address) == 16 else bytes(10) + b"\xff\xff" + address
        for address in (flow.local, flow.remote)
    )
    return local + remote + struct.pack("!HH", flow.local_port or 0, flow.remote_port or 0)


def offer(mss: int | None, wscale: int | None, ts: int | None, sack: bool, echo: int = 0) -> str:
    """The options of a SYN of the peer."""
    parts = [] if mss is None else [f"mss {mss}"]
    parts += ["sackOK"] if sack else []
    parts += [] if ts is None else [f"TS val {ts} ecr {echo}"]
    parts += [] if wscale is None else ["nop", f"wscale {wscale}"]
    return ",".join(parts)

"""Plays scripts against a host in virtual time, and asserts everything that is sent or not.

The driver is the clock, the wire and the peer of one host. It only uses the host's front door:
`receive`, `transmit`, `next_deadline`, `on_time`. What the stack sends stands in a queue until
a script line (or `take`) claims it; time never moves on while something is unclaimed.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from tests.kit.compare import Difference, differences
from tests.kit.flow import Flow, flag_letters
from tests.kit.notation import Line, ScriptError, TcpSpec, parse, parse_tcp
from tests.kit.packets import craft
from tests.kit.packets.decode import (
    CHECKSUM_COMPLETE,
    CHECKSUM_VALID,
    BadPacket,
    Packet,
    decode,
)  # fmt: skip
from tests.kit.packets.encode import ACK, ICMP, ICMPV6, SYN, TCP, ip, tcp
from tests.kit.packets.icmp_names import is_error, name_of
from tests.kit.report import Mismatch, ScriptMismatch, Trace, explain

START_US = 1_000_000_000
ENDLESS = 1_000  # so many rounds without time moving on are an endless loop

Raw = tuple[bytes, int, int]


class HostLike(Protocol):
    """The front door of a host (packets are buffer, gso_size, checksum state)."""

    def receive(self, packets: Iterable[Raw], now_us: int) -> None: ...
    def transmit(self, now_us: int) -> Iterable[Any]: ...
    def next_deadline(self) -> int: ...
    def on_time(self, now_us: int) -> None: ...


class Driver:
    """`local` and `remote` are the addresses of the stack and of the peer, as text.

    `iss`: our ISS if the test injects it, else None (then it is learned from our SYN);
    `irs`: the peer's. Both apply to every flow that the script names.
    """

    def __init__(
        self,
        host: HostLike,
        local: str = "192.0.2.1",
        remote: str = "192.0.2.2",
        *,
        iss: int | None = None,
        irs: int = 0,
        start_us: int = START_US,
    ) -> None:
        self.host = host
        self.local = local
        self.remote = remote
        self.iss = iss
        self.irs = irs
        self.start_us = start_us
        self.now_us = start_us
        self.look_ahead_us = 200_000_000  # how far to look for a missing segment
        self.usual = {"tos": 0, "ttl": 64, "df": 1}
        self.trace = Trace(start_us)
        self.states: list[tuple[bytes, int, int]] = []
        self._queue: deque[Packet] = deque()
        self._flows: dict[str, Flow] = {}
        self._last_sent: dict[str, Packet] = {}
        self._last_incoming = b""
        self.default = self.flow("")

    # -- flows ---------------------------------------------------------------------------------

    def flow(
        self,
        name: str,
        *,
        local: str = "",
        remote: str = "",
        local_port: int | None = None,
        remote_port: int | None = None,
    ) -> Flow:
        """The connection called `name` in scripts (`+0 name< …`), made when first asked for."""
        if name not in self._flows:
            self._flows[name] = Flow(
                name,
                ipaddress.ip_address(local or self.local).packed,
                ipaddress.ip_address(remote or self.remote).packed,
                self.iss,
                self.irs,
                40_000 + len(self._flows),
            )
        flow = self._flows[name]
        flow.local_port = flow.local_port if local_port is None else local_port
        flow.remote_port = flow.remote_port if remote_port is None else remote_port
        return flow

    # -- scripts -------------------------------------------------------------------------------

    def play(self, script: str, **calls: Callable[[], object]) -> None:
        """Play a script from now on; `calls` are the functions that its `call` lines name.

        Raises `ScriptMismatch` (an AssertionError) that shows the script, the line that does
        not hold and what really went over the wire.
        """
        __tracebackhide__ = True
        lines = parse(script)
        at = 0
        while at < len(lines):
            upto = at + 1
            while upto < len(lines) and lines[upto].batch:
                upto += 1
            try:
                self._line(lines[at], lines[at:upto], calls)
            except (Mismatch, BadPacket) as failure:
                found = failure.differences if isinstance(failure, Mismatch) else []
                text = explain(str(failure), found, lines, at, self.trace)
                raise ScriptMismatch(text) from None
            at = upto

    def quiet(self, seconds: float) -> None:
        """Let time pass and assert that nothing is sent."""
        __tracebackhide__ = True
        self.play(f"+{seconds:.6f} quiet")

    def finish(self) -> None:
        """Assert that nothing is left unclaimed."""
        __tracebackhide__ = True
        self.play("+0 quiet")

    # -- below scripts ---------------------------------------------------------------------------

    def segment(self, text: str, flow: str = "", **fields: int | bytes | str) -> bytes:
        """The packet that a `<` line with this segment would bring in, for a test to bend."""
        return craft.tcp_packet(parse_tcp(text.strip(), "<"), self.flow(flow), fields)

    def inject(self, *packets: bytes, gso_size: int = 0, checksum_state: int = 0) -> None:
        """Packets come in now, in one batch."""
        self._assert_silence("before this packet comes in")
        self._receive([(packet, gso_size, checksum_state) for packet in packets])

    def take(self) -> list[Packet]:
        """Everything that the stack sends now, which no script line need claim any more."""
        self._flush()
        taken = list(self._queue)
        self._queue.clear()
        for packet in taken:
            owner = self._owner(packet)
            if owner is not None:
                self._claimed(packet, owner)
        return taken

    def run(self, seconds: float) -> list[Packet]:
        """Let time pass, and take everything that is sent meanwhile."""
        until = self.now_us + round(seconds * 1_000_000)
        taken = self.take()
        while self._advance(until):
            taken += self.take()
        return taken

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return (self.now_us - self.start_us) / 1_000_000

    # -- one line --------------------------------------------------------------------------------

    def _line(self, line: Line, batch: list[Line], calls: dict[str, Any]) -> None:
        if line.direction == ">":
            self._expect(line)
            return
        self._pass_silently(self.now_us + line.high_us)
        if line.direction == "<":
            packets: list[Raw] = []
            for each in batch:
                flow = self.flow(each.flow)
                gso_size = craft.number(each.ip, "gso", 0)
                state = CHECKSUM_VALID if gso_size else CHECKSUM_COMPLETE
                for packet in craft.packets(each, flow, self._quotable(flow)):
                    packets.append((packet, gso_size, state))
            self._receive(packets)
        elif line.direction == "call":
            name = str(line.what)
            if name not in calls:
                raise ScriptError(f"line {line.number}: play(…, {name}=…) is missing")
            calls[name]()

    def _expect(self, line: Line) -> None:
        flow = self.flow(line.flow)
        low, high = self.now_us + line.low_us, self.now_us + line.high_us
        if not self._advance(high):
            late = self._look_ahead()
            if late is None:
                raise Mismatch("nothing was sent")
            when = (self.now_us - high) / 1_000_000
            raise Mismatch(f"nothing was sent in time; {when:.6f} s later came {late}")
        packet = self._queue[0]
        if self.now_us < low:
            early = (low - self.now_us) / 1_000_000
            raise Mismatch(f"sent {early:.6f} s too early: {self._show(packet)}")
        if isinstance(line.what, TcpSpec):
            self._bind(flow, packet, line.what)
        found = self._differences(line, packet, flow)
        if found:
            raise Mismatch(f"sent instead: {self._show(packet)}", found)
        self._queue.popleft()
        self._claimed(packet, flow)

    def _differences(self, line: Line, packet: Packet, flow: Flow) -> list[Difference]:
        return differences(line, packet, flow, self.usual)

    def _bind(self, flow: Flow, packet: Packet, spec: TcpSpec) -> None:
        """A flow whose ports are open takes those of the first segment that is meant for it."""
        unbound = flow.local_port is None or flow.remote_port is None
        if unbound and packet.protocol == TCP and flow.owns(packet):
            flow.bind(packet.src_port, packet.dst_port)
        fresh = flow.iss is None and packet.flags & SYN and spec.flags == packet.flags
        if fresh and not spec.seq.absolute:
            flow.iss = packet.seq

    def _claimed(self, packet: Packet, flow: Flow) -> None:
        if packet.protocol == TCP:
            flow.note_outgoing(packet)
            self._last_sent[flow.name] = packet
        elif packet.protocol in (ICMP, ICMPV6) and is_error(packet.kind, packet.version):
            quote = packet.payload
            if quote != self._last_incoming[: len(quote)]:
                raise BadPacket("the ICMP error does not quote the packet that came in")
            head = 40 if packet.version == 6 else (quote[0] & 15) * 4
            if len(quote) < min(head + 8, len(self._last_incoming)):
                raise BadPacket("the ICMP error quotes less than the IP header and 8 octets")

    # -- time and wire ---------------------------------------------------------------------------

    def _receive(self, packets: list[Raw]) -> None:
        for octets, _gso, _state in packets:
            self.trace.add(self.now_us, "<", self._show_incoming(octets))
            self._last_incoming = octets
        self.host.receive(packets, self.now_us)

    def _flush(self) -> None:
        """Everything the stack has to send at this moment goes to the queue."""
        for _ in range(ENDLESS):
            batch = self._batch()
            if not batch:
                return
            for octets, gso_size, state in batch:
                for packet in decode(octets, gso_size, state):
                    self._queue.append(packet)
                    self.trace.add(self.now_us, ">", self._show(packet))
        raise Mismatch(f"transmit({self.now_us}) never gets empty")

    def _batch(self) -> list[Raw]:
        return [(bytes(buffer), gso_size, state) for buffer, gso_size, state in
                self.host.transmit(self.now_us)]  # fmt: skip

    def _advance(self, until_us: int) -> bool:
        """Let time pass until something is sent, at most to `until_us`; whether it was."""
        rounds = 0
        while True:
            self._flush()
            if self._queue:
                return True
            deadline = self.host.next_deadline()
            if deadline == 0 or deadline > until_us:
                self.now_us = max(self.now_us, until_us)
                return False
            rounds = rounds + 1 if deadline <= self.now_us else 0
            if rounds > ENDLESS:
                raise Mismatch(f"next_deadline() stays at {deadline}, now is {self.now_us}")
            self.now_us = max(self.now_us, deadline)
            self.host.on_time(self.now_us)

    def _pass_silently(self, until_us: int) -> None:
        if self._advance(until_us):
            raise Mismatch(f"nothing should be sent, but was: {self._show(self._queue[0])}")

    def _assert_silence(self, when: str) -> None:
        __tracebackhide__ = True
        self._flush()
        if self._queue:
            problem = f"unclaimed {when}: {self._show(self._queue[0])}"
            raise ScriptMismatch(explain(problem, [], [], 0, self.trace))

    def _look_ahead(self) -> str | None:
        """For the message only: what is sent next, if anything soon."""
        return (
            self._show(self._queue[0]) if self._advance(self.now_us + self.look_ahead_us) else None
        )

    # -- text ------------------------------------------------------------------------------------

    def _owner(self, packet: Packet) -> Flow | None:
        bound = [flow for flow in self._flows.values() if flow.owns(packet)]
        bound.sort(key=lambda flow: flow.local_port is None or flow.remote_port is None)
        return bound[0] if packet.protocol == TCP and bound else None

    def _show(self, packet: Packet) -> str:
        if packet.protocol == TCP:
            flow = self._owner(packet)
            if flow is None:
                ports = f"[sport {packet.src_port}, dport {packet.dst_port}] "
                return ports + self.default.show(packet)
            return f"{flow.name}> {flow.show(packet)}" if flow.name else flow.show(packet)
        if packet.protocol in (ICMP, ICMPV6) and not packet.offset:
            name = name_of(packet.kind, packet.code, packet.version)
            return f"icmp {name} 0x{packet.rest.hex()} ({len(packet.payload)})"
        return f"protocol {packet.protocol} ({len(packet.upper)})"

    def _show_incoming(self, octets: bytes) -> str:
        """Leniently: a test may send any nonsense."""
        try:
            packet = decode(octets)[0]
        except BadPacket as reason:
            return f"{len(octets)} octets ({reason})"
        if packet.protocol != TCP:
            return self._show(packet)
        for flow in self._flows.values():
            if (packet.dst, packet.src) == (flow.local, flow.remote) and (
                packet.dst_port,
                packet.src_port,
            ) == (flow.local_port, flow.remote_port):
                break
        else:
            flow = self.default
        start = flow.their_number(packet.seq)
        text = f"{flag_letters(packet.flags):<2} {start}:{start + len(packet.payload)}"
        text += f"({len(packet.payload)})"
        if packet.flags & ACK:
            text += f" ack {flow.our_number(packet.ack)}"
        return f"{flow.name}< {text}" if flow.name else f"{text} win {packet.window}"

    def _quotable(self, flow: Flow) -> bytes:
        """The last segment of ours on that flow as a router would have seen it."""
        packet = self._last_sent.get(flow.name)
        if packet is None:
            return b""
        segment = tcp(
            packet.src, packet.dst, packet.src_port, packet.dst_port, packet.seq, packet.ack,
            packet.flags, packet.window,
            payload=packet.payload,
        )  # fmt: skip
        return ip(
            packet.src, packet.dst, TCP, segment, tos=packet.tos, ttl=packet.ttl,
            ident=packet.ident, df=packet.df,
        )  # fmt: skip

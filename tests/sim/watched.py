"""A world that is looked at after each of its events, and whose packets are all taken apart."""

from __future__ import annotations

from pystack.sim import SimHost, World
from pystack.sim.network.link_direction import LinkDirection
from pystack.tcp.state.states import ESTABLISHED
from pystack.tcp.tcb import Tcb
from pystack.wire.batch import Packet
from tests.kit.packets.decode import decode
from tests.kit.packets.encode import TCP
from tests.kit.stream import Streams


class Watched:
    """Looks on from now on; raises AssertionError where something is as it can never be."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hosts = [node for node in world.nodes.values() if isinstance(node, SimHost)]
        self._streams = Streams()
        self._last_us = world.now_us
        self._before: dict[int, tuple[Tcb, int, int, int]] = {}  # una, RCV.NXT, right edge
        world.watch(self._check)
        for line in world.directions:
            if isinstance(line.near, SimHost):
                line.taps.append(self._note)

    def _note(self, line: LinkDirection, packet: Packet, now_us: int) -> None:
        for one in decode(bytes(packet[0]), packet[1], packet[2]):
            if one.protocol == TCP:
                self._streams.note(one)

    def _check(self) -> None:
        assert self.world.now_us >= self._last_us, "time went back"
        self._last_us = self.world.now_us
        for host in self.hosts:
            for connection in host.host.connections.values():
                if type(connection) is Tcb:
                    self._check_tcb(connection)

    def _check_tcb(self, tcb: Tcb) -> None:
        assert tcb.iss <= tcb.snd_una <= tcb.snd_nxt <= tcb.sndbuf.end_seq + 2  # SYN and FIN
        assert tcb.pipe >= 0
        assert tcb.cc.cwnd > 0
        if tcb.state < ESTABLISHED:
            return
        assert tcb.rcv_nxt <= tcb.rcv_adv + 1  # a FIN needs no room
        assert tcb.recvbuf.held >= 0
        assert tcb.recvbuf.ooo_bytes >= 0
        now = (tcb.snd_una, tcb.rcv_nxt, tcb.rcv_adv)
        before = self._before.get(id(tcb))
        if before is not None and before[0] is tcb:
            assert now[0] >= before[1], "SND.UNA went back"
            assert now[1] >= before[2], "RCV.NXT went back"
            assert now[2] >= before[3], "the promised right edge retreated"
        self._before[id(tcb)] = (tcb, *now)

    def check_nothing_is_left(self) -> None:
        """No connection, no port, no octet, no deadline, no packet on its way."""
        assert self.world.run()  # what is still to come comes, and ends
        for host in self.hosts:
            assert host.host.connections == {}
            assert host.host.next_deadline() == 0
            assert host.host.shared.memory.held_bytes == 0
            assert host.host.counters.owner_errors == 0
        assert self.world.events.next_at() == 0

"""Two hosts in virtual time over a bad way: whatever is lost, doubled, bent or late, every octet
arrives once and in order, in both directions, and nothing is left when all is closed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest

from pystack.path.faults import Corruption, Cut, Duplication, Loss, Reordering
from pystack.path.link import Delay, Link
from pystack.sockets import Host, Socket
from pystack.sockets.constants import AF_INET, AF_INET6, POLLIN
from tests.kit.pair import Pair
from tests.soak.talk import Talker

SEEDS = range(100)
PATIENCE_S = 3_000.0  # of virtual time; with an RTO of up to 120 s some runs take their time
AFTERWARDS_S = 400.0  # TIME_WAIT, orphans in FIN_WAIT_2, and the memory of path MTUs
SMALL_MTU = 1280
ADDRESSES = {AF_INET: ("198.18.0.1", "198.18.0.2"), AF_INET6: ("fd00::1", "fd00::2")}


@dataclass
class Circumstances:
    """What a seed stands for."""

    random: Random

    def host(self, number: int) -> Host:
        random = self.random
        offload = random.random() < 0.5
        host = Host(
            (f"198.18.0.{number}/24", f"fd00::{number}/64"),
            secret=random.randbytes(16),
            mtu=random.choice((1280, 1500, 1500, 9000)),
            gso=offload,
            checksum_offload=offload,
        )
        for name in ("tcp_syn_retries", "tcp_synack_retries"):
            host.sysctl(name, 20)  # an attempt that is given up would be right, but no soak
        host.sysctl("tcp_sack", int(random.random() < 0.7))
        host.sysctl("tcp_timestamps", int(random.random() < 0.7))
        host.sysctl("tcp_window_scaling", int(random.random() < 0.7))
        host.sysctl("tcp_rmem", f"4096 {random.choice((8192, 131_072))} 1000000")
        if random.random() < 0.5:  # numbers that wrap in the midst of the run
            host.isn = lambda key, now_us: (1 << 32) - 20_000
        return host

    def way(self) -> Link:
        random = self.random
        source = Random(random.random())
        worst = random.choice((0.0, 0.01, 0.05, 0.1))
        return Link(
            *([Cut()] if random.random() < 0.7 else []),
            Loss(worst, source),
            Duplication(worst, source),
            Corruption(worst / 2, source, bits=1),
            Reordering(worst, source, behind=random.randrange(1, 6)),
            Delay(random.choice((100, 5_000, 60_000)), random.choice((0, 3_000)), source),
        )


def waits(listener: Socket) -> bool:
    """Whether somebody may be accepted."""
    return bool(listener.poll() & POLLIN)


def talk(pair: Pair, random: Random) -> list[Talker]:
    """Connections in both directions and families, with what their ends are to say."""
    talkers: list[Talker] = []
    for opener, other in ((pair.near, pair.far), (pair.far, pair.near)):
        for family, port in ((AF_INET, 4), (AF_INET6, 6)):
            listener = other.socket(family)
            listener.bind(("", port))
            listener.listen(5)
            client = opener.socket(family)
            with suppress(BlockingIOError):
                client.connect((ADDRESSES[family][other is pair.far], port))
            assert pair.run(partial(waits, listener), within_s=PATIENCE_S)
            server, _ = listener.accept()
            listener.close()
            texts = [random.randbytes(random.choice((0, 1, 2_000, 150_000))) for _ in range(2)]
            talkers.append(Talker(client, texts[0], texts[1], random))
            talkers.append(Talker(server, texts[1], texts[0], random))
    return talkers


@pytest.mark.parametrize("seed", SEEDS)
def test_every_octet_arrives_once_and_in_order_over_a_bad_way(seed: int) -> None:
    circumstances = Circumstances(Random(seed))
    near, far = circumstances.host(1), circumstances.host(2)
    pair = Pair(near, far, circumstances.way(), circumstances.way())
    talkers = talk(pair, circumstances.random)
    mtu_falls_us = pair.now_us + circumstances.random.randrange(5_000_000)

    def all_done() -> bool:
        if pair.now_us > mtu_falls_us and near.mtu > SMALL_MTU:
            near.set_mtu(SMALL_MTU)  # what is in flight is cut anew
        for talker in talkers:
            talker.act(pair.now_us)
        return all(talker.done for talker in talkers)

    def next_pause_us() -> int:
        return min((t.paused_until_us for t in talkers if t.paused_until_us), default=0)

    finished = pair.run(all_done, within_s=PATIENCE_S, wake_at_us=next_pause_us)
    assert finished, [(t.sock, t.written, t.read) for t in talkers if not t.done]

    for talker in talkers:
        talker.sock.close()
    pair.run(lambda: False, within_s=AFTERWARDS_S)
    for host in (near, far):
        assert host.shared.memory.held_bytes == 0
        assert host.connections == {}
        assert host.counters.owner_errors == 0

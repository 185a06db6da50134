"""RFC 9293 §3.8.3, §3.8.6.1, §3.10.8, RFC 6429: every bound on waiting, whatever the peer does."""

from __future__ import annotations

import errno
import itertools
import socket
from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.kit.packets.decode import Packet
from tests.kit.tcp import Tcp
from tests.kit.variants import VARIANTS

TCP = socket.IPPROTO_TCP
RTO_MIN = 0.2
PATIENCE = 4000.0  # seconds that a connection is watched for
SILENT, ZERO, SOME = "silent", "answers with a window of 0", "answers with a window, and no news"


@dataclass
class Watch:
    """What one connection sends, and when, to a peer that acknowledges nothing new."""

    tcp: Tcp
    sock: socket.socket
    una: int
    habits: list[str]  # of the peer, one for each packet in turn
    sent: list[tuple[float, Packet]] = field(default_factory=list)
    answered: float = 0.0  # when it last was
    ended: float = 0.0

    def go_on(self, seconds: float) -> None:
        tcp = self.tcp
        until = tcp.now + seconds
        count = 0
        while tcp.now < until and not self.ended:
            deadline = tcp.host.next_deadline()
            ahead = (deadline - tcp.now_us) / 1e6 if deadline else seconds
            for packet in tcp.run(max(min(ahead, until - tcp.now), 0.0)):
                self.sent.append((tcp.now, packet))
                habit = self.habits[count % len(self.habits)]
                count += 1
                if habit != SILENT and tcp.state() != "CLOSED":
                    win = 0 if habit == ZERO else 1000
                    tcp.play(f"+0 < . 1:1(0) ack {self.una} win {win}")
                    self.answered = tcp.now
            if tcp.state() == "CLOSED":
                self.ended = tcp.now
            assert len(self.sent) < 5000

    def repeats(self) -> dict[int, list[float]]:
        times: dict[int, list[float]] = {}
        for at, packet in self.sent:
            if packet.payload or packet.flags & 1:
                times.setdefault(packet.seq, []).append(at)
        return times


def stuck(
    in_flight: bool, habits: list[str], closes: bool, user_timeout: int = 0, **sysctls: int
) -> Watch:
    """A peer took one segment of two, or both, and offers no window from then on. Tail loss probes
    are off: they have their times of their own."""
    tcp = Tcp(VARIANTS["ipv4"], dict(tcp_early_retrans=0, **sysctls))
    sock = tcp.established(win=2920, rtt=0.05)
    if user_timeout:
        sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, user_timeout)
    sock.send(tcp.data(2920))
    tcp.play("+0 > . 1:1461(1460) ack 1\n+0 > P. 1461:2921(1460) ack 1")
    una = 1461 if in_flight else 2921
    tcp.play(f"+0.05 < . 1:1(0) ack {una} win 0\n+0 quiet")
    if not in_flight:
        sock.send(b"more")
    if closes:
        sock.close()
    return Watch(tcp, sock, una, habits)


@pytest.mark.requirement("RFC9293-S3.10.8-1")
@pytest.mark.parametrize("closes", [False, True], ids=["open", "closed by its user"])
def test_answers_with_a_window_of_zero_dont_put_the_user_timeout_off(closes: bool) -> None:
    """As Linux 9d9b1ee0b2d1: three repeats, and no storm of them when the time has come."""
    watch = stuck(True, [ZERO], closes, user_timeout=2000)
    watch.go_on(60)
    (times,) = watch.repeats().values()
    assert len(times) == 3
    assert watch.ended - times[0] == pytest.approx(2.0, abs=0.001)
    if not closes:
        assert watch.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT
    watch.tcp.quiet(1000)


@pytest.mark.requirement("RFC9293-S3.10.8-1")
def test_neither_do_answers_to_probes() -> None:
    watch = stuck(False, [ZERO], closes=False, user_timeout=5000)
    watch.go_on(100)
    assert watch.ended - watch.sent[0][0] == pytest.approx(5.0, abs=0.001)
    assert watch.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT


@pytest.mark.requirement("RFC9293-MUST-37")
@pytest.mark.parametrize("in_flight", [True, False], ids=["window taken back", "window of zero"])
def test_a_peer_that_answers_with_a_window_of_zero_is_not_given_up(in_flight: bool) -> None:
    watch = stuck(in_flight, [ZERO], closes=False, tcp_retries2=3)
    watch.go_on(PATIENCE)
    assert not watch.ended


@pytest.mark.requirement("RFC9293-SHLD-11")
def test_one_that_took_its_window_back_and_fell_silent_is_given_two_of_the_longest_waits() -> None:
    """Linux: tcp_rtx_probe0_timed_out, whatever tcp_retries2 is."""
    watch = stuck(True, [ZERO, ZERO, ZERO] + 1000 * [SILENT], closes=False, tcp_retries2=3)
    watch.go_on(PATIENCE)
    assert 240 <= watch.ended - watch.answered <= 360


def test_a_user_timeout_that_was_set_longer_meanwhile_sends_nothing_too_early() -> None:
    watch = stuck(True, [SILENT], closes=False, user_timeout=2000)
    watch.go_on(1.9)
    watch.sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 60_000)
    watch.go_on(100)
    (times,) = watch.repeats().values()
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(after == pytest.approx(2 * before) for before, after in
               itertools.pairwise(gaps))  # fmt: skip
    assert watch.ended - times[0] == pytest.approx(60.0, abs=0.001)


HABITS = st.lists(st.sampled_from([SILENT, ZERO, SOME]), min_size=1, max_size=6)


@given(
    in_flight=st.booleans(), habits=HABITS, closes=st.booleans(),
    user_timeout=st.sampled_from([0, 0, 1, 150, 2000, 30_000]),
    tcp_retries2=st.integers(1, 15), tcp_orphan_retries=st.integers(0, 12),
    tcp_rto_max_ms=st.sampled_from([1000, 5000, 120_000]),
)  # fmt: skip
@settings(max_examples=120)
def test_what_makes_no_progress_is_sent_seldom_and_ends_when_it_is_due(
    in_flight: bool, habits: list[str], closes: bool, user_timeout: int, tcp_retries2: int,
    tcp_orphan_retries: int, tcp_rto_max_ms: int,
) -> None:  # fmt: skip
    if SOME in habits and not in_flight:
        in_flight = True  # a window would take what waits
    watch = stuck(
        in_flight, habits, closes, user_timeout, tcp_retries2=tcp_retries2,
        tcp_orphan_retries=tcp_orphan_retries, tcp_rto_max_ms=tcp_rto_max_ms,
    )  # fmt: skip
    watch.go_on(PATIENCE)
    for times in watch.repeats().values():
        for before, after in itertools.pairwise(times):
            assert after - before >= RTO_MIN - 1e-6
    for index, (at, _) in enumerate(watch.sent[6:]):
        assert at - watch.sent[index][0] >= 1.0  # at most six in any second
    first = watch.sent[0][0]
    longest = tcp_rto_max_ms / 1000
    if user_timeout and not closes:
        if in_flight or SILENT not in habits:
            assert watch.ended - first == pytest.approx(user_timeout / 1000, abs=0.001)
        else:  # as Linux: tcp_retries2 bounds probes without an answer, too
            assert 0 < watch.ended - first <= user_timeout / 1000 + 0.001
        event("user timeout")
    elif closes:
        assert watch.ended
        assert watch.ended - first <= max(user_timeout / 1000, 15 * longest, 510)
        event("orphan")
    elif all(habit == ZERO for habit in habits):
        assert not watch.ended  # MUST-37
        event("answered")
    elif all(habit == SILENT for habit in habits):
        assert watch.ended - first >= min(RTO_MIN * 2 ** (tcp_retries2 - 1), longest)
        assert watch.ended - first <= 2 * longest + tcp_retries2 * longest
        event("silent")

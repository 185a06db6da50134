"""RFC 9293 §3.6.1: TIME-WAIT; RFC 6191 and RFC 1337 on what may end it early."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp


def in_time_wait(tcp: Tcp, ts: int | None = None, listener: Any = None) -> None:
    """Our side closes first; both FINs are acknowledged. We sent 1..1, the peer 1..1.

    With timestamps the peer's last TSval is `ts` + 20 and our clock stands at 120.
    """
    listener = listener or tcp.listen()
    sock = tcp.established(listener=listener, rtt=0.01, ts=ts)
    sock.close()
    if ts is None:
        tcp.play(
            """
            +0     > F. 1:1(0) ack 1
            +0.01  < F. 1:1(0) ack 2
            +0     > .  2:2(0) ack 2
            """
        )
    else:
        tcp.play(
            f"""
            +0     > F. 1:1(0) ack 1 <nop,nop,TS val 110 ecr {ts + 10}>
            +0.01  < F. 1:1(0) ack 2 <nop,nop,TS val {ts + 20} ecr 110>
            +0     > .  2:2(0) ack 2 <nop,nop,TS val 120 ecr {ts + 20}>
            """
        )
    assert tcp.state() == "TIME_WAIT"


@pytest.mark.requirement("RFC9293-MUST-13")
def test_time_wait_lasts_2_msl_and_then_the_4_tuple_is_free(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.quiet(59.999)
    assert (tcp.state(), tcp.host.counters.tw_curr) == ("TIME_WAIT", 1)
    tcp.quiet(0.002)
    assert (tcp.state(), tcp.host.counters.tw_curr) == ("CLOSED", 0)
    tcp.play("+0 < F. 1:1(0) ack 2\n+0 > R 2:2(0) win 0")


@pytest.mark.requirement("RFC9293-SHLD-14")
def test_the_offer_does_not_shrink_in_time_wait_either(tcp: Tcp) -> None:
    """A window that is no multiple of its scale was promised; the record's ACK keeps to it."""
    sock = tcp.established(rtt=0.01, wscale=7)
    sock.close()
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1
        +0.01  < .  1:1(0) ack 2
        +0.01  < F. 1:1(0) ack 2
        +0     > .  2:2(0) ack 2
        +0.01  < F. 1:1(0) ack 2  # the kit watches the right edge
        +0     > .  2:2(0) ack 2
        """
    )


@pytest.mark.requirement("RFC9293-MUST-13")
@pytest.mark.host(tcp_msl_ms=120_000)
def test_the_msl_can_be_the_two_minutes_of_the_rfc(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.quiet(239.999)
    assert tcp.state() == "TIME_WAIT"
    tcp.quiet(0.002)
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-MUST-13", "RFC9293-S3.10.7.4-6")
def test_a_repeated_fin_is_acknowledged_and_restarts_the_time(tcp: Tcp) -> None:
    in_time_wait(tcp)
    for _ in range(3):
        tcp.play(
            """
            +50    < F. 1:1(0) ack 2
            +0     > .  2:2(0) ack 2
            """
        )
    tcp.quiet(59.9)
    assert tcp.state() == "TIME_WAIT"
    tcp.quiet(0.2)
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-S3.10.7.4-6")
def test_a_repeated_fin_with_timestamps_is_acknowledged_with_ours(tcp: Tcp) -> None:
    in_time_wait(tcp, ts=700)
    tcp.play(
        """
        +1     < F. 1:1(0) ack 2 <nop,nop,TS val 1720 ecr 110>
        +0     > .  2:2(0) ack 2 <nop,nop,TS val 1120 ecr 720..1720>
        """
    )


def test_old_data_in_time_wait_is_answered_with_an_ack(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.play(
        """
        +1     < P. -9:1(10) ack 1
        +0     > .  2:2(0) ack 2
        """
    )
    assert tcp.state() == "TIME_WAIT"


def test_a_bare_ack_in_time_wait_draws_nothing(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.play("+1 < . 2:2(0) ack 2\n+1 quiet")
    assert tcp.state() == "TIME_WAIT"


@pytest.mark.requirement("RFC9293-MUST-13")
def test_the_local_port_of_a_time_wait_cannot_be_bound_without_asking(tcp: Tcp) -> None:
    listener = tcp.listen()
    in_time_wait(tcp, listener=listener)
    listener.close()
    first = tcp.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    with fails_with(errno.EADDRINUSE):
        first.bind(tcp.address(80, tcp.local))
    second = tcp.socket()
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    second.bind(tcp.address(80, tcp.local))


# -- a new SYN for the same 4-tuple --------------------------------------------------------------


def reopened(tcp: Tcp, syn: str, *, fresh_irs: int = 0, stamp: int = 1721) -> None:
    """The SYN is answered like any other, and our new ISN is above every number used before."""
    tcp.inject(tcp.segment(syn))
    (answer,) = tcp.take()
    assert answer.flags == 0x12
    # a window and a bit above what was used: 2 was the next number (Linux)
    assert tcp.default.our_number(answer.seq) == 2 + 65_535 + 2
    assert tcp.default.their_number(answer.ack) == fresh_irs + 1
    echo = answer.option("TS")
    option = "" if echo is None else f"<nop,nop,TS val {stamp} ecr ={echo[0]}>"
    start = fresh_irs + 1
    tcp.inject(tcp.segment(f". {start}:{start}(0) ack ={answer.seq + 1} win 900 {option}"))
    tcp.take()
    assert tcp.state() == "ESTABLISHED"


def refused(tcp: Tcp, syn: str) -> None:
    """The SYN draws an ACK of what TIME-WAIT remembers (RFC 5961 §4.2, Linux), not silence."""
    tcp.play(f"+1 < {syn}\n+0 > . 2:2(0) ack 2 <...>\n+1 quiet")
    assert tcp.state() == "TIME_WAIT"


@pytest.mark.requirement("RFC9293-MAY-2", "RFC6191-S2-2")
def test_a_syn_above_the_old_numbers_opens_anew(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.quiet(1)
    tcp.default.shrinkable = True
    reopened(tcp, "S 1000:1000(0) win 65535 <mss 1460>", fresh_irs=1000)


@pytest.mark.requirement("RFC9293-SHLD-4", "RFC6191-S2-1")
@pytest.mark.parametrize("seq", [-100_000, 0, 100_000])
def test_a_syn_with_a_newer_timestamp_opens_anew_whatever_its_number(tcp: Tcp, seq: int) -> None:
    in_time_wait(tcp, ts=700)
    tcp.quiet(1)
    tcp.default.shrinkable = True
    reopened(tcp, f"S {seq}:{seq}(0) win 65535 <mss 1460,sackOK,TS val 1720 ecr 0>",
             fresh_irs=seq)  # fmt: skip


@pytest.mark.requirement("RFC6191-S2-2")
def test_with_an_equal_timestamp_only_a_higher_number_opens_anew(tcp: Tcp) -> None:
    in_time_wait(tcp, ts=700)
    tcp.quiet(1)
    tcp.default.shrinkable = True
    tcp.inject(tcp.segment("S 1000:1000(0) win 65535 <mss 1460,sackOK,TS val 720 ecr 0>"))
    (answer,) = tcp.take()
    assert answer.flags == 0x12


@pytest.mark.requirement("RFC6191-S2-2")
def test_without_timestamps_in_the_syn_only_a_higher_number_opens_anew(tcp: Tcp) -> None:
    in_time_wait(tcp, ts=700)
    tcp.quiet(1)
    tcp.default.shrinkable = True
    reopened(tcp, "S 1000:1000(0) win 65535 <mss 1460>", fresh_irs=1000)


@pytest.mark.requirement("RFC6191-S2-3")
@pytest.mark.parametrize("value", [0, 1720, 0x8000_0001, 0xFFFF_FFF0])
def test_a_syn_with_timestamps_opens_anew_when_the_old_connection_had_none(
    tcp: Tcp, value: int
) -> None:
    """Whatever their value: there is nothing to compare it with."""
    in_time_wait(tcp)
    tcp.quiet(1)
    tcp.default.shrinkable = True
    syn = f"S -1000:-1000(0) win 65535 <mss 1460,sackOK,TS val {value} ecr 0>"
    reopened(tcp, syn, fresh_irs=-1000, stamp=value + 1)


@pytest.mark.requirement("RFC6191-S2-2", "RFC5961-S4.2-1")
@pytest.mark.parametrize("seq", [0, -1000, 1, 2])  # 2 is the next number, after that of the FIN
@pytest.mark.deviation("RFC6191-S2-4")
def test_an_old_syn_without_timestamps_is_refused(tcp: Tcp, seq: int) -> None:
    in_time_wait(tcp)
    refused(tcp, f"S {seq}:{seq}(0) win 65535 <mss 1460>")


@pytest.mark.requirement("RFC6191-S2-2", "RFC5961-S4.2-1")
@pytest.mark.parametrize(
    ("seq", "ts"),
    [
        (-1000, 720),  # equal timestamp, lower number
        (-1000, 600),  # both lower
        (1000, 600),  # a higher number, but an older timestamp
    ],
)
@pytest.mark.deviation("RFC6191-S2-4")
def test_an_old_syn_with_timestamps_is_refused(tcp: Tcp, seq: int, ts: int) -> None:
    in_time_wait(tcp, ts=700)
    refused(tcp, f"S {seq}:{seq}(0) win 65535 <mss 1460,sackOK,TS val {ts} ecr 0>")


@pytest.mark.requirement("RFC9293-MAY-2")
def test_a_stale_syn_leaves_time_wait_in_force(tcp: Tcp) -> None:
    in_time_wait(tcp)
    refused(tcp, "S 0:0(0) win 65535 <mss 1460>")
    tcp.play("+1 < F. 1:1(0) ack 2\n+0 > . 2:2(0) ack 2")


# -- RST -----------------------------------------------------------------------------------------


def test_a_reset_in_time_wait_is_obeyed_by_default(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.play("+1 < R 2:2(0) win 0\n+0 quiet")
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC1337-S3-1")
@pytest.mark.host(tcp_rfc1337=1)
def test_a_reset_in_time_wait_is_ignored_if_asked_for(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.play("+1 < R 2:2(0) win 0\n+1 quiet")
    assert tcp.state() == "TIME_WAIT"
    tcp.play("+0 < F. 1:1(0) ack 2\n+0 > . 2:2(0) ack 2")


def test_a_reset_elsewhere_in_time_wait_is_ignored(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.play("+1 < R 5:5(0) win 0\n+0 < R 1:1(0) win 0\n+1 quiet")
    assert tcp.state() == "TIME_WAIT"


# -- many ------------------------------------------------------------------------------------------


@pytest.mark.host(tcp_max_tw_buckets=3)
def test_no_more_time_waits_are_kept_than_the_setting_allows(tcp: Tcp) -> None:
    listener = tcp.listen(backlog=100)
    for number in range(6):
        name = f"n{number}"
        tcp.established(listener=listener, flow=name, rtt=0.01).close()
        tcp.play(
            f"""
            +0     {name}> F. 1:1(0) ack 1
            +0.01  {name}< F. 1:1(0) ack 2
            +0     {name}> .  2:2(0) ack 2
            """
        )
    kept = [tcp.state(f"n{number}") for number in range(6)].count("TIME_WAIT")
    assert kept <= 3


def test_a_time_wait_outlasts_the_timers_of_other_connections(tcp: Tcp) -> None:
    listener = tcp.listen()
    in_time_wait(tcp, listener=listener)
    sock = tcp.established(listener=listener, flow="b", rtt=0.01)
    sock.send(b"x")
    tcp.play("+0 b> P. 1:2(1) ack 1\n+0.2..0.3 b> P. 1:2(1) ack 1\n+0 b< . 1:1(0) ack 2\n+1 quiet")
    assert tcp.state() == "TIME_WAIT"
    tcp.play("+0 < F. 1:1(0) ack 2\n+0 > . 2:2(0) ack 2")


@pytest.mark.requirement("RFC9293-S3.10.7.4-2")
def test_a_segment_without_ack_in_time_wait_is_dropped(tcp: Tcp) -> None:
    in_time_wait(tcp)
    tcp.play("+1 < F 1:1(0) win 100\n+0 < P 1:11(10) win 100\n+1 quiet")
    assert tcp.state() == "TIME_WAIT"


def test_time_waits_end_in_the_order_in_which_they_were_last_restarted(tcp: Tcp) -> None:
    listener = tcp.listen()
    for name in ("a", "b"):
        tcp.established(listener=listener, flow=name, rtt=0.01).close()
        tcp.play(
            f"""
            +0     {name}> F. 1:1(0) ack 1
            +0.01  {name}< F. 1:1(0) ack 2
            +0     {name}> .  2:2(0) ack 2
            """
        )
    tcp.play("+30 a< F. 1:1(0) ack 2\n+0 a> . 2:2(0) ack 2\n+31 quiet")
    assert [tcp.state(name) for name in ("a", "b")] == ["TIME_WAIT", "CLOSED"]
    tcp.quiet(30)
    assert tcp.state("a") == "CLOSED"


def test_a_flood_of_repeated_fins_takes_no_memory(tcp: Tcp) -> None:
    """Each one restarts the time; what was noted before is let go of, though it is not due."""
    listener = tcp.listen()
    for name in ("a", "b"):
        tcp.established(listener=listener, flow=name, rtt=0.01).close()
        tcp.play(
            f"""
            +0     {name}> F. 1:1(0) ack 1
            +0.01  {name}< F. 1:1(0) ack 2
            +0     {name}> .  2:2(0) ack 2
            """
        )
    for _ in range(500):
        tcp.play("+0.1 b< F. 1:1(0) ack 2\n+0 b> . 2:2(0) ack 2")
    assert len(tcp.host.time_waits.queue) <= 68
    tcp.quiet(9.9)
    assert [tcp.state(name) for name in ("a", "b")] == ["TIME_WAIT", "TIME_WAIT"]
    tcp.quiet(1)
    assert [tcp.state(name) for name in ("a", "b")] == ["CLOSED", "TIME_WAIT"]
    tcp.quiet(49)
    assert tcp.state("b") == "TIME_WAIT"
    tcp.quiet(1)
    assert tcp.state("b") == "CLOSED"


@pytest.mark.requirement("RFC5961-S7-1")
def test_a_flood_of_old_syns_in_time_wait_draws_few_acks(tcp: Tcp) -> None:
    in_time_wait(tcp)
    answers = 0
    for _ in range(90):
        tcp.inject(tcp.segment("S 0:0(0) win 65535 <mss 1460>"))
        answers += len(tcp.run(0.01))
    assert answers == 2  # one per 500 ms


@pytest.mark.requirement("RFC5961-S4.2-1")
def test_a_syn_ack_in_time_wait_opens_nothing(tcp: Tcp) -> None:
    in_time_wait(tcp)
    refused(tcp, "S. 1000:1000(0) ack 2 win 65535 <mss 1460>")


@pytest.mark.requirement("RFC6191-S2-1")
def test_the_newest_timestamp_is_that_of_any_segment_in_order(tcp: Tcp) -> None:
    in_time_wait(tcp, ts=700)
    tcp.play("+0.1 < . 2:2(0) ack 2 <nop,nop,TS val 900 ecr 120>")
    refused(tcp, "S -1000:-1000(0) win 65535 <mss 1460,sackOK,TS val 800 ecr 0>")

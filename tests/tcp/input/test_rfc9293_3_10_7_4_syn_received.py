"""RFC 9293 §3.10.7.4 in SYN-RECEIVED, before a passive connection is more than a record."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp

HALF_OPEN = """
    +0  < S  0:0(0) win 65535 <mss 1460>
    +0  > S. 0:0(0) ack 1 win 64240 <mss 1460>
"""
WITH_TIMESTAMPS = """
    +0  < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0,nop,wscale 7>
    +0  > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 700,nop,wscale 7>
"""


def nobody(listener: object) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()  # type: ignore[attr-defined]


@pytest.mark.requirement("RFC9293-S3.4-2", "RFC9293-S3.5.2-2")
@pytest.mark.parametrize(
    "segment",
    [".  70000:70000(0)", "P. 70000:70010(10)", "P. -20:-10(10)", ".  0x40000000:0x40000000(0)"],
)
def test_an_unacceptable_segment_draws_an_ack_and_changes_nothing(tcp: Tcp, segment: str) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        {HALF_OPEN}
        +0.01  < {segment} ack 1
        +0     > .  1:1(0) ack 1 win 64240
        """
    )
    nobody(listener)
    assert tcp.state() == "SYN_RECEIVED"
    tcp.play("+0.01 < . 1:1(0) ack 1\n+0 quiet")
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC5961-S7-1")
def test_a_flood_of_unacceptable_segments_draws_few_acks(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(HALF_OPEN)
    answers = 0
    for _ in range(90):
        tcp.inject(tcp.segment(". 70000:70000(0) ack 1"))
        answers += len(tcp.run(0.01))
    assert answers == 2  # one per 500 ms


@pytest.mark.requirement("RFC9293-S3.5.3-1", "RFC5961-S3.2-3", "RFC5961-S3.2-4")
@pytest.mark.parametrize("seq", [0, -1000, 70_000, 0x4000_0000])
def test_a_reset_outside_of_the_window_is_ignored_in_silence(tcp: Tcp, seq: int) -> None:
    tcp.listen()
    tcp.play(f"{HALF_OPEN}\n+0.01 < R {seq}:{seq}(0) win 0\n+0.1 quiet")
    assert tcp.state() == "SYN_RECEIVED"


@pytest.mark.requirement("RFC9293-S3.5-2", "RFC5961-S4.2-2")
def test_a_peer_that_begins_anew_gets_there_by_way_of_its_reset(tcp: Tcp) -> None:
    # The peer restarted: its new SYN has another number; what it answers to our ACK ends the old.
    # (RFC 9293 goes back to LISTEN at once, Linux with a RST; as in RFC 5961 §4.2, a blind SYN
    # cannot end a handshake here.)
    listener = tcp.listen()
    tcp.play(
        f"""
        {HALF_OPEN}
        +0.01  < S  5000:5000(0) win 65535 <mss 1460>
        +0     > .  1:1(0) ack 1 win 64240
        +0.01  < R  1:1(0) win 0
        +0.9   < S  5000:5000(0) win 65535 <mss 1460>
        +0     > S. 0:0(0) ack 5001 win 64240 <mss 1460>
        +0.01  < .  5001:5001(0) ack 1
        +0     quiet
        """
    )
    listener.accept()


@pytest.mark.deviation("RFC7323-S3.2-3")
def test_an_ack_without_the_timestamps_that_were_agreed_on_is_taken(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(f"{WITH_TIMESTAMPS}\n+0.01 < . 1:1(0) ack 1\n+0.1 quiet")
    sock = listener.accept()[0]
    sock.send(b"x")  # ours go on to have them
    tcp.play("+0 > P. 1:2(1) ack 1 <nop,nop,TS val 210 ecr 700>")


@pytest.mark.requirement("RFC7323-S5.3-1")
def test_an_ack_with_an_older_timestamp_draws_an_ack_and_is_dropped(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        {WITH_TIMESTAMPS}
        +0.01  < .  1:1(0) ack 1 <nop,nop,TS val 699 ecr 100>
        +0     > .  1:1(0) ack 1 <nop,nop,TS val 110 ecr 700>
        """
    )
    nobody(listener)


@pytest.mark.requirement("RFC7323-S5.2-2")
def test_a_reset_needs_no_timestamp(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(f"{WITH_TIMESTAMPS}\n+0.01 < R 1:1(0) win 0\n+30 quiet")
    assert tcp.state() == "LISTEN"


def test_a_repeated_syn_with_an_ack_number_is_no_repeated_syn(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(f"{HALF_OPEN}\n+0.01 < S. 0:0(0) ack 1 win 65535\n+0 > . 1:1(0) ack 1 win 64240")
    assert tcp.state() == "SYN_RECEIVED"


def test_the_final_ack_of_a_connection_for_which_there_is_no_room_is_dropped(tcp: Tcp) -> None:
    # Linux: the queue holds one more than the backlog; the SYN,ACK is repeated, a new SYN dropped
    listener = tcp.listen(backlog=1)
    for name in ("a", "b"):
        tcp.play(
            f"""
            +0     {name}< S  0:0(0) win 65535 <mss 1460>
            +0     {name}> S. 0:0(0) ack 1 <mss 1460>
            +0.01  {name}< .  1:1(0) ack 1
            """
        )
    tcp.play("+0 c< S 0:0(0) win 65535 <mss 1460>\n+0.1 quiet")
    kept = [listener.accept()]
    tcp.play(
        """
        +0     c< S  0:0(0) win 65535 <mss 1460>
        +0     c> S. 0:0(0) ack 1 <mss 1460>
        +0     d< S  0:0(0) win 65535 <mss 1460>
        +0     d> S. 0:0(0) ack 1 <mss 1460>
        +0     c< .  1:1(0) ack 1
        +0     d< .  1:1(0) ack 1                    # the queue is full now
        +1     d> S. 0:0(0) ack 1 <mss 1460>
        """
    )
    kept.append(listener.accept())
    tcp.play("+0 d< . 1:1(0) ack 1\n+0 quiet")
    kept += [listener.accept(), listener.accept()]
    assert len({address for _, address in kept}) == 4
    nobody(listener)

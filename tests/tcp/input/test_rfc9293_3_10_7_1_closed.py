"""RFC 9293 §3.10.7.1: SEGMENT ARRIVES when there is no connection."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp


@pytest.mark.requirement("RFC9293-S3.10.7.1-1")
@pytest.mark.parametrize(
    ("segment", "ack"),
    [
        ("S  0:0(0) win 65535 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>", 1),
        ("S  0:10(10) win 65535", 11),
        ("P  1:11(10) win 65535", 11),
        ("F  1:1(0) win 65535", 2),
        ("F  1:11(10) win 65535", 12),
        ("-  7:7(0) win 65535", 7),
        ("S  0xfffffffe:0xfffffffe(0) win 1", 0xFFFF_FFFF),
    ],
)
def test_a_segment_without_ack_draws_a_reset_that_acknowledges_it(
    tcp: Tcp, segment: str, ack: int
) -> None:
    wire = tcp.default.their_number((tcp.default.irs + ack) & 0xFFFF_FFFF)
    tcp.play(f"+0 < {segment}\n+0 > R. =0:=0(0) ack {wire} win 0\n+1 quiet")


@pytest.mark.requirement("RFC9293-S3.10.7.1-2", "RFC9293-S3.5.2-1")
@pytest.mark.parametrize(
    "segment",
    [
        ".  1:1(0) ack 1001",
        "P. 1:101(100) ack 1001",
        "F. 1:1(0) ack 1001",
        "S. 0:0(0) ack 1001",
        "FP.U 1:11(10) ack 1001 urg 3",
    ],
)
def test_a_segment_with_ack_draws_a_reset_from_where_it_acknowledges(
    tcp: Tcp, segment: str
) -> None:
    segment = segment.replace(" urg", " win 65535 urg") if "urg" in segment else segment
    tcp.play(f"+0 < {segment}\n+0 > R 1001:1001(0) win 0\n+1 quiet")


@pytest.mark.requirement("RFC9293-S3.5.2-1")
@pytest.mark.parametrize("flags", ["R  1:1(0)", "R. 1:1(0) ack 1", "RP. 1:11(10) ack 1"])
def test_a_reset_to_a_closed_port_draws_nothing(tcp: Tcp, flags: str) -> None:
    tcp.play(f"+0 < {flags} win 0\n+1 quiet")


@pytest.mark.requirement("RFC9293-S3.10.7.1-2")
def test_a_connection_that_is_gone_is_answered_like_a_stranger(tcp: Tcp) -> None:
    tcp.established()
    tcp.play(
        """
        +0  < R  1:1(0) win 0
        +0  < P. 1:11(10) ack 1
        +0  > R  1:1(0) win 0
        """
    )


@pytest.mark.requirement("RFC9293-S3.10.7.1-1")
def test_a_reset_to_a_stranger_has_no_options(tcp: Tcp) -> None:
    tcp.play(
        """
        +0  < .  1:1(0) ack 1 <nop,nop,TS val 5 ecr 6>
        +0  > R  1:1(0) win 0
        """
    )

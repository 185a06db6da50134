"""RFC 9293 §3.1: the fixed header, its checksum, and PSH (§3.9.1.2)."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp


@pytest.mark.requirement("RFC9293-S3.1-1")
@pytest.mark.parametrize("reserved", [1, 2, 4, 7])
def test_reserved_bits_of_a_segment_are_ignored(tcp: Tcp, reserved: int) -> None:
    listener = tcp.listen()
    tcp.play(
        f"""
        +0  < [reserved {reserved}] S  0:0(0) win 65535 <mss 1460>
        +0  > S. 0:0(0) ack 1 win 64240 <mss 1460>
        +0  < [reserved {reserved}] .  1:1(0) ack 1
        +0  < [reserved {reserved}] P. 1:11(10) ack 1
        +0  > .  1:1(0) ack 11
        """
    )
    sock, _ = listener.accept()
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC9293-S3.1-1")
def test_reserved_bits_are_sent_as_zero(tcp: Tcp) -> None:
    sock = tcp.established(passive=False, ts=1, sack=True, wscale=7)
    sock.send(tcp.data(3000))
    sock.close()
    sent = tcp.take()
    assert len(sent) >= 3
    for packet in sent:
        head = 20 if tcp.version == 4 else 40
        assert packet.octets[head + 12] & 0x0F == 0


@pytest.mark.requirement("RFC9293-MUST-2", "RFC8200-S8.1-1")
@pytest.mark.parametrize("length", [1, 2, 3, 511, 1459, 1460, 5001])
def test_every_segment_has_a_correct_checksum(tcp: Tcp, length: int) -> None:
    # the kit's decoder verifies the sum of everything that is sent, over the pseudo-header
    sock = tcp.established()
    assert sock.send(tcp.data(length)) == length
    sent = tcp.take()
    assert b"".join(packet.payload for packet in sent) == tcp.data(length)


@pytest.mark.requirement("RFC9293-MUST-2", "RFC8200-S8.1-1")
def test_handshake_reset_and_close_have_correct_checksums(tcp: Tcp) -> None:
    sock = tcp.established(passive=False, ts=1, sack=True, wscale=7)
    sock.close()
    tcp.play(
        """
        +0     > F. 1:1(0) ack 1 <nop,nop,TS val 200 ecr 1>
        +0     < .  1:1(0) ack 2 <nop,nop,TS val 2 ecr 200>
        +0     < F. 1:1(0) ack 2 <nop,nop,TS val 2 ecr 200>
        +0     > .  2:2(0) ack 2 <nop,nop,TS val 200 ecr 2>
        """
    )


@pytest.mark.requirement("RFC9293-MUST-3", "RFC8200-S8.1-1")
def test_a_segment_with_a_wrong_checksum_is_dropped_in_silence(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(
        """
        +0  < [badsum] P. 1:11(10) ack 1
        +0  < [badsum] R. 1:1(0) ack 1
        +0  < [badsum] F. 1:1(0) ack 1
        +1  quiet
        """
    )
    assert tcp.host.counters.as_dict()["dropped_bad_tcp_checksum"] == 3
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    tcp.play("+0 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11")
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC9293-MUST-3")
def test_any_flipped_bit_makes_a_segment_void(tcp: Tcp) -> None:
    sock = tcp.established()
    good = tcp.segment("P. 1:11(10) ack 1 <nop,nop,TS val 5 ecr 6>")
    start = 20 if tcp.version == 4 else 40
    for at in range(start, len(good)):
        for bit in range(8):
            tcp.inject(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
    tcp.quiet(1)
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.requirement("RFC9293-MUST-3")
def test_a_syn_with_a_wrong_checksum_makes_no_connection(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play("+0 < [badsum] S 0:0(0) win 65535 <mss 1460>\n+5 quiet")
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-MUST-3")
@pytest.mark.parametrize("offset", [0, 1, 4, 15])
def test_a_data_offset_that_makes_no_sense_voids_the_segment(tcp: Tcp, offset: int) -> None:
    tcp.established()
    tcp.play(f"+0 < [offset {offset}] P. 1:11(10) ack 1\n+1 quiet")


@pytest.mark.requirement("RFC9293-MUST-61")
def test_the_segment_that_empties_the_send_queue_carries_psh(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    sock.send(tcp.data(3000))
    tcp.play(
        """
        +0     > .  1:1461(1460) ack 1
        +0     > .  1461:2921(1460) ack 1
        +0     > P. 2921:3001(80) ack 1
        +0.01  < .  1:1(0) ack 3001
        """
    )
    sock.send(tcp.data(1460, 3000))
    tcp.play("+0 > P. 3001:4461(1460) ack 1")


@pytest.mark.requirement("RFC9293-SHLD-27")
def test_pushes_of_several_writes_merge_into_one(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    sock.send(tcp.data(10))
    tcp.play("+0 > P. 1:11(10) ack 1")
    sock.send(tcp.data(10, 10))
    sock.send(tcp.data(10, 20))
    sock.send(tcp.data(10, 30))
    tcp.play(
        """
        +0     quiet                               # Nagle holds them
        +0.01  < .  1:1(0) ack 11
        +0     > P. 11:41(30) ack 1
        """
    )


@pytest.mark.requirement("RFC8200-S8.1-1")
@pytest.mark.variants("v6")
def test_the_checksum_counts_behind_extension_headers_too(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(
        """
        +0  < [hbh 0x010400000000, dstopt 0x010400000000] P. 1:11(10) ack 1
        +0  > .  1:1(0) ack 11
        +0  < [hbh 0x010400000000, badsum] P. 11:21(10) ack 1
        +1  quiet
        """
    )
    assert sock.recv(100) == tcp.data(10)

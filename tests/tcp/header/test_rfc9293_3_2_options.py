"""RFC 9293 §3.1 and §3.2: TCP options, received in every form and sent in one."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp


def largest_sent(tcp: Tcp, sock: object) -> int:
    """The largest payload that a bulk write makes."""
    sock.send(tcp.data(6000))  # type: ignore[attr-defined]
    return max(len(packet.payload) for packet in tcp.take())


def handshake(tcp: Tcp, options: str, answer: str = "mss 1460") -> object:
    """A connection to our port 80 whose SYN has these options."""
    listener = tcp.listen()
    tcp.play(
        f"""
        +0    < S  0:0(0) win 65535 <{options}>
        +0    > S. 0:0(0) ack 1 win * <{answer}>
        """
    )
    return listener


@pytest.mark.requirement("RFC9293-MUST-4")
@pytest.mark.parametrize(
    "options",
    [
        "mss 700",
        "nop,nop,nop,nop,mss 700",
        "mss 700,eol",
        "mss 700,nop,nop,eol",
        "nop,mss 700,nop,eol",
        "mss 700,raw 0x00ffffff",  # octets behind EOL count for nothing
        "mss 700,eol,raw 0x020405b4",
        "raw 0x0101010101010101010101010101010101010101010101010101010101010101,mss 700",
    ],
)
def test_eol_nop_and_mss_in_any_legal_mix_are_understood(tcp: Tcp, options: str) -> None:
    listener = handshake(tcp, options)
    tcp.play("+0 < . 1:1(0) ack 1\n+0 quiet")
    assert largest_sent(tcp, listener.accept()[0]) == 700  # type: ignore[attr-defined]


@pytest.mark.requirement("RFC9293-MUST-64")
def test_options_need_no_alignment(tcp: Tcp) -> None:
    listener = handshake(
        tcp,
        "wscale 3,mss 700,TS val 700 ecr 0,sackOK",
        "mss 1460,sackOK,TS val 100 ecr 700,nop,wscale 7",
    )
    tcp.play(
        """
        +0.05  < .  1:1(0) ack 1 win 10000 <TS val 701 ecr 100,nop,nop>
        +0     < P. 11:21(10) ack 1 <nop,TS val 702 ecr 100,nop>
        +0     > .  1:1(0) ack 1 <nop,nop,TS val 150 ecr 701,nop,nop,sack 11:21>
        +0     < P. 1:11(10) ack 1 <TS val 703 ecr 100>
        +0     > .  1:1(0) ack 21 <nop,nop,TS val 150 ecr 703>
        """
    )
    assert largest_sent(tcp, listener.accept()[0]) == 688  # type: ignore[attr-defined]


@pytest.mark.requirement("RFC9293-MUST-5")
def test_options_are_accepted_in_every_kind_of_segment(tcp: Tcp) -> None:
    sock = tcp.established(ts=700)
    tcp.play(
        """
        +0   < .  1:1(0) ack 1 <nop,nop,TS val 801 ecr 200>
        +0   < P. 1:11(10) ack 1 <TS val 802 ecr 200,raw 0xfd0400000000>
        +0   > .  1:1(0) ack 11 <nop,nop,TS val 200 ecr 802>
        +0   < F. 11:11(0) ack 1 <nop,nop,TS val 803 ecr 200,raw 0xfd04ffff>
        +0..0.05 > .  1:1(0) ack 12 <nop,nop,TS val 200..250 ecr 803>
        """
    )
    assert sock.recv(100) == tcp.data(10)
    assert sock.recv(100) == b""
    tcp.play("+0 < R. 12:12(0) ack 1 <nop,nop,TS val 804 ecr 200,raw 0x4e0601020304>\n+1 quiet")
    assert tcp.state() == "CLOSED"


@pytest.mark.requirement("RFC9293-MUST-6")
@pytest.mark.parametrize("kind", ["05", "06", "0e", "13", "1e", "1f", "4e", "fd", "fe", "ff"])
def test_an_unknown_option_of_a_syn_is_skipped_by_its_length(tcp: Tcp, kind: str) -> None:
    listener = handshake(
        tcp,
        f"raw 0x{kind}06deadbeef,mss 700,raw 0x{kind}02,sackOK",
        "mss 1460,nop,nop,sackOK",
    )
    tcp.play("+0 < . 1:1(0) ack 1\n+0 quiet")
    assert largest_sent(tcp, listener.accept()[0]) == 700  # type: ignore[attr-defined]


@pytest.mark.requirement("RFC9293-MUST-6")
def test_an_unknown_option_of_a_data_segment_is_skipped(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play("+0 < P. 1:11(10) ack 1 <raw 0xfd0cdeadbeefdeadbeefdead>\n+0 > . 1:1(0) ack 11")
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC9293-MUST-6")
@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ("raw 0x0203ff,mss 700,nop", "mss 1460"),
        ("mss 700,raw 0x03040707", "mss 1460"),
        ("mss 700,raw 0x040300,nop", "mss 1460"),
        ("mss 700,raw 0x0809000000000000000000,nop,nop,nop", "mss 1460"),
    ],
)
def test_a_known_option_with_the_wrong_length_for_it_is_skipped(
    tcp: Tcp, wrong: str, answer: str
) -> None:
    listener = handshake(tcp, wrong, answer)
    tcp.play("+0 < . 1:1(0) ack 1\n+0 quiet")
    assert largest_sent(tcp, listener.accept()[0]) == 700  # type: ignore[attr-defined]


@pytest.mark.requirement("RFC9293-MUST-7")
@pytest.mark.parametrize(
    "options",
    [
        "raw 0xfd00",
        "raw 0xfd01",
        "raw 0x0200,mss 700",
        "raw 0xfd29,nop,nop",
        "raw 0xfdff",
        "nop,nop,nop,raw 0xfd",
        "raw 0x0808,nop,nop",
    ],
)
def test_an_illegal_option_length_harms_nobody(tcp: Tcp, options: str) -> None:
    """As Linux (RFC 9293 leaves it open): it ends the list of options, and the segment is taken."""
    listener = tcp.listen()
    sock = tcp.established(listener=listener)
    tcp.play(
        f"""
        +0 <  P. 1:11(10) ack 1 <{options}>
        +0 >  .  1:1(0) ack 11
        +0 c< S  0:0(0) win 65535 <mss 900,{options}>
        +0 c> S. 0:0(0) ack 1 <mss 1460>
        +0 c< .  1:1(0) ack 1 <{options}>
        +0 quiet
        """
    )
    assert sock.recv(100) == tcp.data(10)
    assert largest_sent(tcp, listener.accept()[0]) == 900


@pytest.mark.requirement("RFC9293-MUST-68", "RFC9293-MUST-69")
@pytest.mark.parametrize("passive", [True, False])
def test_all_options_sent_have_a_length_and_fill_the_header(tcp: Tcp, passive: bool) -> None:
    # the kit's decoder refuses options that run past the header, or padding that is not zero
    sock = tcp.established(passive, ts=700, sack=True, wscale=7)
    sock.send(tcp.data(3000))
    sent = tcp.take()
    tcp.inject(tcp.segment("P. 11:21(10) ack 3001 <nop,nop,TS val 900 ecr 200>"))
    sent += tcp.take()
    assert [name for name, _ in sent[-1].options] == ["nop", "nop", "TS", "nop", "nop", "sack"]
    for packet in sent:
        assert all(name not in ("eol", "raw") for name, _ in packet.options)


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ("mss 1460", "mss 1460"),
        ("mss 1460,sackOK", "mss 1460,nop,nop,sackOK"),
        ("mss 1460,nop,wscale 7", "mss 1460,nop,wscale 7"),
        ("mss 1460,sackOK,nop,wscale 7", "mss 1460,nop,nop,sackOK,nop,wscale 7"),
        ("mss 1460,TS val 7 ecr 0", "mss 1460,nop,nop,TS val 100 ecr 7"),
        ("mss 1460,sackOK,TS val 7 ecr 0", "mss 1460,sackOK,TS val 100 ecr 7"),
        ("sackOK", "mss 1460,nop,nop,sackOK"),
        ("", "mss 1460"),
    ],
)
def test_a_syn_ack_offers_only_what_the_syn_offered(tcp: Tcp, offered: str, answer: str) -> None:
    handshake(tcp, offered, answer)


@pytest.mark.parametrize(
    ("setting", "options"),
    [
        ({"tcp_sack": 0}, "mss 1460,nop,nop,TS val 100 ecr 0,nop,wscale 7"),
        ({"tcp_timestamps": 0}, "mss 1460,nop,nop,sackOK,nop,wscale 7"),
        ({"tcp_window_scaling": 0}, "mss 1460,sackOK,TS val 100 ecr 0"),
        ({"tcp_sack": 0, "tcp_timestamps": 0}, "mss 1460,nop,wscale 7"),
        ({"tcp_sack": 0, "tcp_timestamps": 0, "tcp_window_scaling": 0}, "mss 1460"),
    ],
)
def test_a_syn_offers_what_the_settings_allow(
    tcp: Tcp, setting: dict[str, int], options: str
) -> None:
    for name, value in setting.items():
        tcp.host.sysctl(name, value)
    tcp.connect()
    tcp.play(f"+0 > S 0:0(0) win 64240 <{options}>")

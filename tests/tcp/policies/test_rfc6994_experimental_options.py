"""RFC 6994: TCP options for experiments, kinds 253 and 254 with an identifier."""

from __future__ import annotations

import pytest

from pystack.parts.variants import register_variant
from pystack.sockets import constants as c
from pystack.tcp.policies.experimental_option import ExperimentalOption
from pystack.wire import consts
from tests.kit.tcp import Tcp


class Noting(ExperimentalOption):
    """Keeps what it is told."""

    exid = 0xABCD

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tuple[bytes, int]] = []

    def on_received(self, value: bytes, flags: int, now_us: int) -> None:
        self.values.append((value, flags))


class Everywhere(Noting):
    """Writes on everything: where in the stream a segment begins, and on ACKs a K."""

    data_size = 4

    def syn_value(self, now_us: int) -> bytes:
        return b"\x01\x02"

    def syn_ack_value(self, now_us: int) -> bytes:
        return b"\x03\x04"

    def data_value(self, offset: int, length: int, now_us: int) -> bytes:
        return offset.to_bytes(4, "big")

    def ack_value(self, now_us: int) -> bytes:
        return b"KK"


class Uniform(Everywhere):
    uniform = True

    def data_value(self, offset: int, length: int, now_us: int) -> bytes:
        return b"same"


SYN_OPTION = "nop,nop,raw 0xfd06abcd0102"
SYN_ACK_OPTION = "nop,nop,raw 0xfd06abcd0304"
ACK_OPTION = "nop,nop,raw 0xfd06abcd4b4b"


def data_option(offset: int) -> str:
    return f"raw 0xfd08abcd{offset:08x}"


def use(tcp: Tcp, option: type[ExperimentalOption], name: str = "mine") -> None:
    register_variant("option", name, option)
    tcp.host.sysctl("tcp_experimental_option", name)


def opened(tcp: Tcp, option: type[ExperimentalOption], **offer: object) -> object:
    """A connection that the peer has opened, with the option on its SYN."""
    use(tcp, option)
    listener = tcp.listen()
    sack = "sackOK," if offer.get("sack") else ""
    tcp.play(
        f"""
        +0   < S  0:0(0) win 65535 <mss 1460,{sack}{SYN_OPTION}>
        +0   > S. 0:0(0) ack 1 <...>
        +0.1 < .  1:1(0) ack 1
        +0   quiet
        """
    )
    return listener.accept()[0]


@pytest.mark.requirement("RFC6994-S3-1")
# -- the handshake ------------------------------------------------------------------------------
def test_an_active_open_writes_on_the_syn_and_reads_from_the_syn_ack(tcp: Tcp) -> None:
    use(tcp, Everywhere)
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,{SYN_OPTION}>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,raw 0xfd06abcd0708>
        +0   > .  1:1(0) ack 1 <{ACK_OPTION}>
        """
    )
    option = sock.variant("option")
    assert option.values == [(b"\x07\x08", consts.SYN | consts.ACK)]
    assert option.peer_has_it


def test_a_passive_open_reads_from_the_syn_and_writes_on_the_syn_ack(tcp: Tcp) -> None:
    use(tcp, Everywhere)
    listener = tcp.listen()
    tcp.play(
        f"""
        +0 < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0,{SYN_OPTION}>
        +0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 700,{SYN_ACK_OPTION}>
        +1 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 1100 ecr 700,{SYN_ACK_OPTION}>
        +0 < .  1:1(0) ack 1 <nop,nop,TS val 1700 ecr 1100,nop,nop,raw 0xfd06abcd0909>
        """
    )
    sock, _ = listener.accept()
    assert sock.variant("option").values == [
        (b"\x01\x02", consts.SYN), (b"\x09\x09", consts.ACK),
    ]  # fmt: skip


def test_a_peer_that_has_not_got_it_sees_it_on_our_syn_alone(tcp: Tcp) -> None:
    use(tcp, Everywhere)
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,{SYN_OPTION}>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(1460))
    tcp.play("+0 > P. 1:1461(1460) ack 1")


def test_a_peer_that_does_not_ask_gets_no_answer_on_our_syn_ack(tcp: Tcp) -> None:
    use(tcp, Everywhere)
    tcp.listen()
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1460>
        +0 > S. 0:0(0) ack 1 <mss 1460>
        +0 < .  1:1(0) ack 1
        +0 < P. 1:2(1) ack 1
        +0 > .  1:1(0) ack 2
        """
    )


def test_an_option_that_needs_no_peer_is_written_all_the_same(tcp: Tcp) -> None:
    class Anyway(Everywhere):
        needs_peer = False

    use(tcp, Anyway)
    sock = tcp.connect()
    tcp.play(
        f"""
        +0   > S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,{SYN_OPTION}>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1 <{ACK_OPTION}>
        """
    )
    sock.send(tcp.data(10))
    tcp.play(f"+0 > P. 1:11(10) ack 1 <{data_option(0)}>")


@pytest.mark.requirement("RFC6994-S3-1")
def test_an_experiment_may_have_32_bits_and_either_kind(tcp: Tcp) -> None:
    class Wide(Everywhere):
        exid = 0x1234_5678
        exid_bits = 32
        kind = 254
        data_size = -1

    use(tcp, Wide)
    sock = tcp.connect()
    tcp.play(
        """
        +0 > S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,raw 0xfe08123456780102>
        +0 < S. 0:0(0) ack 1 win 65535 <mss 1460,raw 0xfd0612345678,raw 0xfe071234567809,eol>
        +0 > .  1:1(0) ack 1 <raw 0xfe08123456784b4b>
        """
    )
    assert [value for value, _ in sock.variant("option").values] == [b"", b"\x09"]


def test_two_peers_that_open_at_once_both_write_and_read(tcp: Tcp) -> None:
    use(tcp, Everywhere)
    sock = tcp.connect()
    tcp.play(
        f"""
        +0 > S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,{SYN_OPTION}>
        +0 < S  0:0(0) win 65535 <mss 1460,{SYN_OPTION}>
        +0 > S. 0:0(0) ack 1 <mss 1460,{SYN_ACK_OPTION}>
        +0 < .  1:1(0) ack 1
        """
    )
    assert tcp.state() == "ESTABLISHED"
    assert sock.variant("option").values == [(b"\x01\x02", consts.SYN)]


# -- text, ACKs and what else there is ----------------------------------------------------------
def test_text_has_the_option_and_so_much_less_fits_into_a_segment(tcp: Tcp) -> None:
    sock = opened(tcp, Everywhere)
    sock.send(tcp.data(3000))
    tcp.play(
        f"""
        +0   > .  1:1453(1452) ack 1 <{data_option(0)}>
        +0   > .  1453:2905(1452) ack 1 <{data_option(1452)}>
        +0   > P. 2905:3001(96) ack 1 <{data_option(2904)}>
        +0.1 < .  1:1(0) ack 3001
        """
    )
    assert sock.getsockopt(c.IPPROTO_TCP, c.TCP_MAXSEG) == 1452


def test_a_repeat_asks_the_option_again(tcp: Tcp) -> None:
    sock = opened(tcp, Everywhere)
    sock.send(tcp.data(100))
    tcp.play(
        f"""
        +0   > P. 1:101(100) ack 1 <{data_option(0)}>
        +0.2..0.5 > P. 1:101(100) ack 1 <{data_option(0)}>
        """
    )


def test_bare_acks_and_fins_have_it_and_a_reset_has_not(tcp: Tcp) -> None:
    sock = opened(tcp, Everywhere)
    tcp.play(
        f"""
        +0 < P. 1:101(100) ack 1
        +0 > .  1:1(0) ack 101 <{ACK_OPTION}>
        """
    )
    sock.shutdown(c.SHUT_WR)
    tcp.play(f"+0 > F. 1:1(0) ack 101 <{data_option(0)}>")
    sock.close()  # with text unread
    tcp.play("+0 > R. 2:2(0) ack 101")


@pytest.mark.requirement("RFC6994-S3-2")
def test_values_are_read_in_order_and_what_is_not_ours_is_ignored(tcp: Tcp) -> None:
    sock = opened(tcp, Noting)
    tcp.play(
        """
        +0 < P. 1:11(10) ack 1 <nop,raw 0xfd05abcd11,nop,nop>
        +0 > .  1:1(0) ack 11
        +0 < P. 11:21(10) ack 1 <raw 0xfd05abce22,nop,nop,nop>   # another experiment
        +0 > .  1:1(0) ack 21
        +0 < P. 21:31(10) ack 1 <raw 0xfd04abcd,raw 0xfd03ab,eol>  # no value; no identifier
        +0 > .  1:1(0) ack 31
        +0 < P. 31:41(10) ack 1 <eol,raw 0xfd05abcd33,nop,nop>
        +0 > .  1:1(0) ack 41
        """
    )
    push = consts.PSH | consts.ACK
    assert sock.variant("option").values[1:] == [(b"\x11", push), (b"", push)]
    assert len(sock.recv(100)) == 40


def test_values_are_read_beside_timestamps_too(tcp: Tcp) -> None:
    use(tcp, Noting)
    sock = tcp.established(ts=700)
    tcp.play(
        """
        +0 < P. 1:11(10) ack 1 <nop,nop,TS val 800 ecr 100,nop,raw 0xfd05abcd11,nop,nop>
        +0 > .  1:1(0) ack 11 <nop,nop,TS val 200 ecr 800>
        +0 < .  11:11(0) ack 1 <nop,nop,TS val 900 ecr 100,nop,raw 0xfd05abcd12,nop,nop>
        +1 quiet
        """
    )
    assert sock.variant("option").values == [
        (b"\x11", consts.PSH | consts.ACK), (b"\x12", consts.ACK),
    ]  # fmt: skip


def test_what_is_not_acceptable_is_not_read(tcp: Tcp) -> None:
    sock = opened(tcp, Noting)
    before = list(sock.variant("option").values)
    tcp.play(
        """
        +0 < P. 200001:200011(10) ack 1 <nop,raw 0xfd05abcd11,nop,nop>   # beyond the window
        +0 > .  1:1(0) ack 1
        +1 < P. 1:11(10) ack 999 <nop,raw 0xfd05abcd11,nop,nop>  # acknowledges the future
        +0 > .  1:1(0) ack 1
        +0 < R  5:5(0) <nop,raw 0xfd05abcd11,nop,nop>
        +1 quiet
        """
    )
    assert sock.variant("option").values == before


# -- room ---------------------------------------------------------------------------------------
def holes(count: int) -> str:
    """Lines by which the peer leaves so many holes, each ACK being whatever it is."""
    return "\n".join(
        f"+0 < . {at}:{at + 100}(100) ack 1\n+0 > . 1:1(0) ack 1 <...>"
        for at in range(201, 201 + 200 * count, 200)
    )


def test_sack_blocks_have_the_room_that_the_option_leaves(tcp: Tcp) -> None:
    class Large(Everywhere):
        def ack_value(self, now_us: int) -> bytes:
            return bytes(16)  # 20 octets in all: 20 are left, for two blocks

    opened(tcp, Large, sack=True)
    tcp.play(holes(3))
    tcp.play(
        f"""
        +0 < . 801:901(100) ack 1
        +0 > . 1:1(0) ack 1 <nop,nop,sack 801:901 601:701,raw 0xfd14abcd{"00" * 16}>
        """
    )


def test_an_ack_that_is_full_has_no_sack_blocks(tcp: Tcp) -> None:
    class Full(Everywhere):
        def ack_value(self, now_us: int) -> bytes:
            return bytes(36)

    opened(tcp, Full, sack=True)
    tcp.play(
        f"""
        +0 < . 201:301(100) ack 1
        +0 > . 1:1(0) ack 1 <raw 0xfd28abcd{"00" * 36}>
        """
    )


def test_text_with_option_and_sack_blocks_fits_the_path(tcp: Tcp) -> None:
    sock = opened(tcp, Everywhere, sack=True)
    tcp.play(holes(4))
    sock.send(tcp.data(3000))
    packets = tcp.run(0)
    assert [len(packet.octets) for packet in packets[:-1]] == [tcp.variant.mtu] * 2
    for packet in packets:
        assert packet.option("sack") is not None
        assert any(option[0] == "raw" for option in packet.options)


def test_room_that_is_not_used_is_kept_free(tcp: Tcp) -> None:
    class Silent(Everywhere):
        data_size = 16

        def data_value(self, offset: int, length: int, now_us: int) -> None:  # type: ignore[override]
            return None

        ack_value = ExperimentalOption.ack_value

    use(tcp, Silent)
    listener = tcp.listen()
    stamp = "nop,nop,TS val 800 ecr 100"
    tcp.play(
        f"""
        +0   < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0,{SYN_OPTION}>
        +0   > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 700,{SYN_ACK_OPTION}>
        +0.1 < .  1:1(0) ack 1 <{stamp}>
        +0   < .  201:301(100) ack 1 <{stamp}>
        +0   > .  1:1(0) ack 1 <nop,nop,TS val 200 ecr 800,nop,nop,sack 201:301>
        +0   < .  401:501(100) ack 1 <{stamp}>
        +0   > .  1:1(0) ack 1 <nop,nop,TS val 200 ecr 800,nop,nop,sack 401:501 201:301>
        +0   quiet
        """
    )
    listener.accept()[0].send(tcp.data(1428))
    tcp.play("+0 > P. 1:1429(1428) ack 1 <nop,nop,TS val 200 ecr 800>")


def test_more_than_there_is_room_for_ends_the_connection(tcp: Tcp) -> None:
    class Boundless(Everywhere):
        def data_value(self, offset: int, length: int, now_us: int) -> bytes:
            return bytes(9)

    sock = opened(tcp, Boundless)
    sock.send(tcp.data(10))
    tcp.play("+0 > R. 1:1(0) ack 1")
    words = "experimental option 'mine' raised ValueError: an option of 16 octets where 8 are free"
    with pytest.raises(ConnectionAbortedError) as caught:
        sock.recv(1)
    assert caught.value.strerror == words


# -- runs -----------------------------------------------------------------------------------------
@pytest.mark.variants("ipv4-wrap-offload")
def test_with_offload_each_segment_leaves_by_itself(tcp: Tcp) -> None:
    sock = opened(tcp, Everywhere)
    sock.send(tcp.data(10 * 1452))
    packets = list(tcp.host.transmit(tcp.host.now_us))
    assert [gso_size for _, gso_size, _ in packets] == [0] * 10


@pytest.mark.variants("ipv4-wrap-offload")
def test_segments_that_may_be_alike_leave_as_a_run(tcp: Tcp) -> None:
    sock = opened(tcp, Uniform)
    sock.send(tcp.data(10 * 1452))
    packets = list(tcp.host.transmit(tcp.host.now_us))
    assert [gso_size for _, gso_size, _ in packets] == [1452]


def test_the_segments_of_a_run_all_have_the_same_octets(tcp: Tcp) -> None:
    sock = opened(tcp, Uniform)
    sock.send(tcp.data(3 * 1452))
    same = f"raw 0xfd08abcd{b'same'.hex()}"
    tcp.play(
        f"""
        +0 > .  1:1453(1452) ack 1 <{same}>
        +0 > .  1453:2905(1452) ack 1 <{same}>
        +0 > P. 2905:4357(1452) ack 1 <{same}>
        """
    )


# -- choosing -------------------------------------------------------------------------------------
def test_a_socket_may_have_an_option_of_its_own(tcp: Tcp) -> None:
    register_variant("option", "own", Everywhere)
    sock = tcp.socket()
    sock.setsockopt(c.IPPROTO_TCP, c.TCP_VARIANT, b"option=own")
    tcp.connect(sock=sock)
    tcp.play(f"+0 > S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,{SYN_OPTION}>")
    assert tcp.host.config.tcp_experimental_option == "none"


def test_a_listeners_option_is_that_of_each_connection(tcp: Tcp) -> None:
    made: list[Everywhere] = []

    def make() -> Everywhere:
        made.append(Everywhere())
        return made[-1]

    register_variant("option", "own", make)
    listener = tcp.listen()
    listener.setsockopt(c.IPPROTO_TCP, c.TCP_VARIANT, b"option=own")
    made.clear()  # one was made to see whether it can be
    for flow in ("a", "b"):
        tcp.play(
            f"""
            +0 {flow}< S  0:0(0) win 65535 <mss 1460,{SYN_OPTION}>
            +0 {flow}> S. 0:0(0) ack 1 <mss 1460,{SYN_ACK_OPTION}>
            +0 {flow}< .  1:1(0) ack 1
            +0 quiet
            """
        )
    assert [listener.accept()[0].variant("option") for _ in "ab"] == made
    assert len(made) == 2


def test_an_option_that_has_seen_the_syn_stays(tcp: Tcp) -> None:
    register_variant("option", "own", Everywhere)
    register_variant("option", "other", Uniform)
    listener = tcp.listen()
    listener.setsockopt(c.IPPROTO_TCP, c.TCP_VARIANT, b"option=own")
    tcp.play(
        f"""
        +0 < S  0:0(0) win 65535 <mss 1460,{SYN_OPTION}>
        +0 > S. 0:0(0) ack 1 <mss 1460,{SYN_ACK_OPTION}>
        """
    )
    listener.setsockopt(c.IPPROTO_TCP, c.TCP_VARIANT, b"option=other")
    tcp.play("+0 < . 1:1(0) ack 1\n+0 quiet")
    assert isinstance(listener.accept()[0].variant("option"), Everywhere)


# -- what raises ----------------------------------------------------------------------------------
def raising(hook: str) -> type[ExperimentalOption]:
    def fails(self: object, *given: object) -> object:
        raise ZeroDivisionError("of all things")

    return type("Failing", (Everywhere,), {hook: fails})


WORDS = "experimental option 'mine' raised ZeroDivisionError: of all things"


@pytest.mark.parametrize("hook", ["on_received", "syn_ack_value"])
def test_a_listeners_option_that_raises_refuses_that_connection(tcp: Tcp, hook: str) -> None:
    use(tcp, raising(hook))
    told: list[str] = []
    tcp.host.on_part_failed = lambda reason, error: told.append(reason)
    tcp.listen()
    refusal = "R. =0:=0(0) ack 1" if hook == "on_received" else "R. 1:1(0) ack 1"
    tcp.flow("").iss = tcp.variant.iss
    tcp.play(
        f"""
        +0 < S 0:0(0) win 65535 <mss 1460,{SYN_OPTION}>
        +0 > {refusal}
        +9 quiet
        """
    )
    assert told == [WORDS]
    assert not tcp.host.connections


@pytest.mark.parametrize(
    ("hook", "line"),
    [
        ("data_value", ""), ("ack_value", "+0 < P. 1:2(1) ack 1"),
        ("on_received", "+0 < P. 1:2(1) ack 1 <nop,nop,raw 0xfd06abcd0102>"),
    ],
)  # fmt: skip
def test_an_option_that_raises_ends_its_connection(tcp: Tcp, hook: str, line: str) -> None:
    sock = opened(tcp, raising(hook) if hook != "on_received" else raising_late())
    told: list[str] = []
    tcp.host.on_part_failed = lambda reason, error: told.append(reason)
    if not line:
        sock.send(tcp.data(1))
    tcp.play(f"{line}\n+0 > R. 1:1(0) ack {'1..2' if line else 1}\n+9 quiet")
    assert told == [WORDS]
    assert not tcp.host.connections


def raising_late() -> type[ExperimentalOption]:
    class Late(Everywhere):
        def on_received(self, value: bytes, flags: int, now_us: int) -> None:
            if not flags & consts.SYN:
                raise ZeroDivisionError("of all things")

    return Late


def test_an_option_that_raises_on_the_syn_ends_the_attempt(tcp: Tcp) -> None:
    use(tcp, raising("syn_value"))
    sock = tcp.connect()
    tcp.play("+9 quiet")
    with pytest.raises(ConnectionAbortedError, match=WORDS):
        sock.connect(tcp.address(80))

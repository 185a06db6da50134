"""A replaceable part that raises ends its connection, with its name, and nothing else."""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

import pystack
from pystack.cc.reno import Reno
from pystack.compiling import is_compiled
from pystack.sockets import Host, Socket
from pystack.sockets import constants as c
from pystack.tcp import recording
from pystack.tcp.policies.contracts import (
    AckPolicy,
    InitialWindow,
    NaglePolicy,
    Pacing,
    RttEstimator,
)
from pystack.tcp.policies.experimental_option import ExperimentalOption
from pystack.tcp.policies.isn import IsnGenerator
from pystack.tcp.policies.loss_detection import Rfc6675
from pystack.tcp.policies.rack import Rack
from pystack.tcp.policies.rtt_estimators import Linux
from pystack.tcp.tcb import Tcb
from pystack.wire.consts import CHECKSUM_COMPLETE
from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp
from tests.kit.variants import VARIANTS
from tests.sockets.wire import Wire, address_of, connected, listening, make_wire

TCP = c.IPPROTO_TCP
MORE = 100_000  # octets: more than the initial window


def failing(base: type, hook: str) -> type:
    """A subclass of `base` of which one method raises."""

    def raising(self: object, *given: object) -> object:
        return 1 // 0

    return type("Failing", (base,), {hook: raising, "name": "failing"})


@dataclass
class Scene:
    """Two connections between two hosts; the near end of one has the part that will raise."""

    wire: Wire
    near: Socket
    far: Socket
    bystanders: tuple[Socket, Socket]
    told: list[tuple[str, Exception]] = field(default_factory=list)


def scene(wire: Wire) -> Scene:
    """All are connected and at rest."""
    bystanders = connected(wire)
    near, far = connected(wire)
    made = Scene(wire, near, far, bystanders)
    wire.near.on_part_failed = lambda reason, error: made.told.append((reason, error))
    return made


def check(scene: Scene, words: str, kind: type[Exception] = ZeroDivisionError) -> None:
    """The near connection has ended as it should; nothing else has noticed."""
    scene.wire.run(100_000)
    with fails_with(errno.ECONNRESET):
        while scene.far.recv(1 << 20):
            pass
    with pytest.raises(ConnectionAbortedError) as caught:
        scene.near.send(b"x")
    assert str(caught.value.strerror) == words
    with fails_with(errno.EPIPE):
        scene.near.send(b"x")  # told once, as all errors are
    assert [reason for reason, _ in scene.told] == [words]
    assert isinstance(scene.told[0][1], kind)
    assert scene.wire.near.counters.part_errors == 1
    still_works(scene)


def still_works(scene: Scene) -> None:
    near, far = scene.bystanders
    for sender, receiver in ((near, far), (far, near)):
        sender.send(b"still here")
        scene.wire.run()
        assert receiver.recv(100) == b"still here"


RAISED = "raised ZeroDivisionError: integer division or modulo by zero"


# -- congestion control -----------------------------------------------------------------------
def lose_one_of_few(scene: Scene) -> None:
    lose_once(scene, 10_000)


def lose_once(scene: Scene, octets: int = MORE) -> None:
    """One segment of a window is lost: duplicate ACKs, recovery."""
    lost: list[bytes] = []

    def drop(sender: Host, packet: bytes) -> bool:
        if sender is scene.wire.near and len(packet) > 1000 and not lost:
            lost.append(packet)
            return True
        return False

    scene.wire.drop = drop
    scene.near.send(bytes(octets))


def lose_all(scene: Scene) -> None:
    """Nothing of this connection arrives any more: a timeout."""
    port = scene.near.getsockname()[1].to_bytes(2, "big")
    scene.wire.drop = lambda sender, packet: len(packet) > 1000 and packet[20:22] == port
    scene.near.send(bytes(MORE))
    scene.wire.run(2_000_000)
    scene.wire.drop = lambda sender, packet: False


def just_send(scene: Scene) -> None:
    scene.near.send(bytes(MORE))


def send_paced(scene: Scene) -> None:
    scene.wire.near.sysctl("tcp_pacing", 1)
    scene.near.send(bytes(MORE))


def send_little(scene: Scene) -> None:
    scene.near.send(b"little")


def send_after_idle(scene: Scene) -> None:
    scene.near.send(b"x")
    scene.wire.run(10_000_000)
    scene.near.send(b"x")


def receive(scene: Scene) -> None:
    scene.far.send(b"x")


def delay_acks(scene: Scene) -> None:
    """What is sent arrives, and is sent again as ACKs are half a second late: spuriously."""
    wire = scene.wire
    held: list[bytes] = []

    def hold(sender: Host, packet: bytes) -> bool:
        if sender is wire.far:
            held.append(packet)
        return sender is wire.far

    wire.drop = hold
    scene.near.send(bytes(5000))
    wire.run(500_000)
    wire.drop = lambda sender, packet: False
    scene.near.send(bytes(5000))
    for packet in held:
        wire.near.receive([(packet, 0, CHECKSUM_COMPLETE)], wire.now_us)
        wire.run(for_us=0)


def lower_the_mtu(scene: Scene) -> None:
    scene.wire.near.set_mtu(1000)


@pytest.mark.parametrize(
    ("hook", "happens"),
    [
        ("on_sample", just_send), ("on_ack", just_send), ("on_tx_start", just_send),
        ("on_enter_recovery", lose_once), ("on_exit_recovery", lose_once), ("on_rto", lose_all),
        ("on_undo", delay_acks), ("on_restart", send_after_idle), ("on_mss", lower_the_mtu),
    ],
)  # fmt: skip
def test_a_congestion_control_that_raises(hook: str, happens: Any) -> None:
    ours = scene(make_wire())
    pystack.register_variant("congestion_control", "failing", failing(Reno, hook))
    ours.near.setsockopt(TCP, c.TCP_CONGESTION, b"failing")
    happens(ours)
    check(ours, f"congestion control 'failing' {RAISED}")


@pytest.mark.parametrize("hook", ["on_established", "on_mss", "set_seed"])
def test_nothing_stays_of_what_came_with_a_syn_that_began_a_connection(hook: str) -> None:
    """TCP Fast Open (RFC 7413): the part raises before anybody could accept the connection."""
    pystack.register_variant("congestion_control", "failing", failing(Reno, hook))
    settings = {"tcp_fastopen": 0x602, "tcp_congestion_control": "failing"}
    tcp = Tcp(VARIANTS["ipv4"], settings)
    listener = tcp.listen()
    tcp.inject(tcp.segment("S 0:10(10) win 65535 <mss 1460>"))
    tcp.take()
    with suppress(BlockingIOError):
        listener.accept()
        raise AssertionError("a connection that has failed was accepted")
    assert not tcp.host.connections
    assert tcp.host.shared.memory.held_bytes == 0
    assert tcp.host.counters.part_errors == 1


@pytest.mark.parametrize("hook", ["on_established", "on_mss"])
def test_a_congestion_control_that_raises_while_connecting(hook: str) -> None:
    pystack.register_variant("congestion_control", "failing", failing(Reno, hook))
    wire = make_wire()
    where = address_of(wire, listening(wire.far))
    near = wire.near.socket()
    near.setsockopt(TCP, c.TCP_CONGESTION, b"failing")

    def connect() -> None:
        with suppress(BlockingIOError):
            near.connect(where)  # raises at once, or when the handshake has ended
        wire.run()
        near.connect(where)

    with pytest.raises(ConnectionAbortedError, match=f"congestion control 'failing' {RAISED}"):
        connect()
    wire.run()
    assert not wire.near.connections


WANTED = "int object expected; got "  # compiled code


class Halving(Reno):
    """What a user writes first."""

    name = "halving"

    def on_ack(self, sample: Any) -> None:
        self.cwnd = self.cwnd * 0.7  # type: ignore[assignment]


def test_a_window_that_is_no_int_is_told_as_such() -> None:
    ours = scene(make_wire())
    pystack.register_variant("congestion_control", "halving", Halving)
    ours.near.setsockopt(TCP, c.TCP_CONGESTION, b"halving")
    just_send(ours)
    ours.wire.run()
    words = ours.told[0][0]
    if is_compiled():  # it looks at what is being set
        assert words == "congestion control 'halving' raised TypeError: " + WANTED + "float"
    else:
        assert words.startswith("congestion control 'halving' has set cwnd to ")
        assert words.endswith(", which is no int")
    check(ours, words, TypeError)


class Unfinished(Reno):
    """Has no cwnd."""

    name = "unfinished"

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        self.mss = mss
        self.bytes_acked = 0

    def on_mss(self, mss: int) -> None:
        pass

    def on_established(self, initial_cwnd: int, now_us: int) -> None:
        pass


def test_what_a_part_should_have_and_has_not_is_its_fault() -> None:
    pystack.register_variant("congestion_control", "unfinished", Unfinished)
    wire = make_wire()
    listener = listening(wire.far)
    near = wire.near.socket()
    near.setsockopt(TCP, c.TCP_CONGESTION, b"unfinished")
    assert near.connect_ex(address_of(wire, listener)) == errno.EINPROGRESS
    wire.run()
    with pytest.raises(ConnectionAbortedError, match="'unfinished' raised AttributeError"):
        near.connect(address_of(wire, listener))


# -- the other parts of a connection ----------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "base", "hook", "happens", "words"),
    [
        ("ack_policy", AckPolicy, "wait_us", receive, "ACK policy"),
        ("rtt_estimator", RttEstimator, "on_sample", just_send, "RTT estimator"),
        ("rtt_estimator", Linux, "backed_off_us", lose_all, "RTT estimator"),
        ("nagle_policy", NaglePolicy, "holds", send_little, "Nagle policy"),
        ("initial_window", InitialWindow, "in_bytes", send_after_idle, "initial window"),
        ("loss_recovery", Rack, "on_ack", just_send, "loss recovery"),
        ("loss_recovery", Rack, "detect", just_send, "loss recovery"),
        ("loss_recovery", Rack, "on_duplicate", delay_acks, "loss recovery"),
        ("loss_recovery", Rack, "on_recovered", lose_once, "loss recovery"),
        ("loss_recovery", Rack, "on_timeout", lose_all, "loss recovery"),
        ("loss_recovery", Rfc6675, "extra", lose_one_of_few, "loss recovery"),
        ("pacing", Pacing, "rate", just_send, "pacing"),
        ("pacing", Pacing, "run_bytes", just_send, "pacing"),
        ("pacing", Pacing, "release_us", send_paced, "pacing"),
    ],
)  # fmt: skip
def test_a_part_that_raises(kind: str, base: type, hook: str, happens: Any, words: str) -> None:
    ours = scene(make_wire())
    pystack.register_variant(kind, "failing", failing(base, hook))
    ours.near.setsockopt(TCP, c.TCP_VARIANT, f"{kind}=failing")
    happens(ours)
    check(ours, f"{words} 'failing' {RAISED}")


def test_the_innermost_part_is_to_blame() -> None:
    class Calling(AckPolicy):
        def wait_us(self, tcb: Tcb, now_us: int) -> int:
            tcb.nagle_policy.holds(tcb, 0)
            return 0

    ours = scene(make_wire())
    pystack.register_variant("ack_policy", "calling", Calling)
    pystack.register_variant("nagle_policy", "failing", failing(NaglePolicy, "holds"))
    ours.near.setsockopt(TCP, c.TCP_VARIANT, "ack_policy=calling,nagle_policy=failing")
    receive(ours)
    check(ours, f"Nagle policy 'failing' {RAISED}")


def test_a_timeout_that_is_no_int_is_told_as_such() -> None:
    class Dreaming(Linux):
        def on_sample(self, tcb: Tcb, rtt_us: int) -> None:
            tcb.srtt_us = rtt_us
            tcb.rttvar_us = 0
            tcb.rto_us = None  # type: ignore[assignment]

    ours = scene(make_wire())
    pystack.register_variant("rtt_estimator", "dreaming", Dreaming)
    ours.near.setsockopt(TCP, c.TCP_VARIANT, "rtt_estimator=dreaming")
    just_send(ours)
    words = "has set rto_us to None, which is no int"
    if is_compiled():
        words = "raised TypeError: " + WANTED + "None"
    check(ours, f"RTT estimator 'dreaming' {words}", TypeError)


def test_a_mark_that_the_peer_echoes_is_told_to_a_part_that_raises(tcp: Tcp) -> None:
    pystack.register_variant("congestion_control", "failing", failing(Reno, "on_ecn"))
    tcp.host.sysctl("tcp_ecn", 1)
    tcp.host.sysctl("tcp_congestion_control", "failing")
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEW 0:0(0) win 65535 <mss 1460>
        +0   > S.E 0:0(0) ack 1 <...>
        +0.1 < .   1:1(0) ack 1
        +0   quiet
        """
    )
    listener.accept()[0].send(tcp.data(3000))
    tcp.run(0)
    tcp.inject(tcp.segment(".E 1:1(0) ack 1461"))
    tcp.play("+0 > R. 3001:3001(0) ack 1")


def test_an_option_that_makes_a_part_raise_ends_the_connection_too(tcp: Tcp) -> None:
    class Large(ExperimentalOption):
        needs_peer = False
        data_size = 20

    pystack.register_variant("option", "large", Large)
    pystack.register_variant("congestion_control", "failing", failing(Reno, "on_mss"))
    sock = tcp.established()
    sock.setsockopt(TCP, c.TCP_CONGESTION, b"failing")
    with pytest.raises(ConnectionAbortedError, match="'failing' raised ZeroDivisionError"):
        sock.setsockopt(TCP, c.TCP_VARIANT, b"option=large")
    tcp.play("+0 > R. 1:1(0) ack 1")


def test_a_recorder_that_raises_is_named_like_a_part() -> None:
    class Observer:
        name = "curious"

        def note(self, tcb: Tcb, event: int, now_us: int) -> None:
            1 // 0  # noqa: B018

    ours = scene(make_wire())
    assert ours.near.tcb is not None
    recording.attach(ours.near.tcb, Observer())
    just_send(ours)
    check(ours, f"recorder 'curious' {RAISED}")


# -- what can't be made -------------------------------------------------------------------------
def broken() -> object:
    return 1 // 0


def test_a_part_that_cannot_be_made_is_refused_and_the_socket_goes_on() -> None:
    pystack.register_variant("ack_policy", "broken", broken)
    pystack.register_variant("congestion_control", "broken", lambda mss, cwnd: broken())
    ours = scene(make_wire())
    with pytest.raises(OSError, match="ACK policy 'broken' can't be made: integer division"):
        ours.near.setsockopt(TCP, c.TCP_VARIANT, "ack_policy=broken")
    with pytest.raises(OSError, match="congestion control 'broken' can't be made: integer"):
        ours.near.setsockopt(TCP, c.TCP_CONGESTION, "broken")
    ours.near.send(b"unharmed")
    ours.wire.run()
    assert ours.far.recv(100) == b"unharmed"


def test_a_connection_that_cannot_have_its_parts_is_not_opened() -> None:
    pystack.register_variant("congestion_control", "broken", lambda mss, cwnd: broken())
    wire = make_wire()
    wire.near.sysctl("tcp_congestion_control", "broken")
    near = wire.near.socket()
    with pytest.raises(OSError, match="congestion control 'broken' can't be made: integer"):
        near.connect(("198.18.0.2", 80))
    assert not wire.near.connections
    wire.near.sysctl("tcp_congestion_control", "reno")
    assert near.connect_ex(("198.18.0.2", 80)) == errno.EINPROGRESS


def test_a_peers_connection_that_cannot_have_its_parts_gets_a_reset(tcp: Tcp) -> None:
    pystack.register_variant("congestion_control", "broken", lambda mss, cwnd: broken())
    told: list[str] = []
    tcp.host.on_part_failed = lambda reason, error: told.append(reason)
    listener = tcp.listen()
    tcp.host.sysctl("tcp_congestion_control", "broken")
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1460>
        +0 > S. 0:0(0) ack 1 <...>
        +0 < .  1:1(0) ack 1
        +0 > R  1:1(0)
        """
    )
    assert told == ["congestion control 'broken' can't be made: integer division or modulo by zero"]
    assert not tcp.host.connections
    tcp.host.sysctl("tcp_congestion_control", "reno")
    tcp.established(flow="b", listener=listener)


# -- segments -----------------------------------------------------------------------------------
def test_the_peer_of_a_handshake_that_fails_gets_a_reset(tcp: Tcp) -> None:
    pystack.register_variant("initial_window", "failing", failing(InitialWindow, "in_bytes"))
    tcp.host.sysctl("tcp_initial_window", "failing")
    listener = tcp.listen()
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1460>
        +0 > S. 0:0(0) ack 1 <...>
        +0 < .  1:1(0) ack 1
        +0 > R. 1:1(0) ack 1
        """
    )
    with fails_with(errno.EAGAIN):
        listener.accept()
    assert not tcp.host.connections


def test_so_does_one_whose_part_raises_when_it_is_told_of_the_handshake(tcp: Tcp) -> None:
    pystack.register_variant("congestion_control", "failing", failing(Reno, "on_mss"))
    told: list[str] = []
    tcp.host.on_part_failed = lambda reason, error: told.append(reason)
    tcp.host.sysctl("tcp_congestion_control", "failing")
    listener = tcp.listen()
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1000>
        +0 > S. 0:0(0) ack 1 <...>
        +0 < .  1:1(0) ack 1
        +0 > R  1:1(0)
        """
    )
    assert told == [f"congestion control 'failing' {RAISED}"]
    with fails_with(errno.EAGAIN):
        listener.accept()
    assert not tcp.host.connections


def test_what_was_sent_before_the_part_raised_is_whole(tcp: Tcp) -> None:
    pystack.register_variant("nagle_policy", "failing", failing(NaglePolicy, "holds"))
    tcp.host.sysctl("tcp_nagle_policy", "failing")
    sock = tcp.established()
    sock.send(tcp.data(100), c.MSG_EOR)
    sock.send(tcp.data(5, 100))
    tcp.play(
        """
        +0 > P. 1:101(100) ack 1
        +0 > R. 101:101(0) ack 1
        +1 quiet
        """
    )
    with pytest.raises(ConnectionAbortedError, match="Nagle policy 'failing' raised"):
        sock.recv(1)


def test_the_rest_of_a_batch_is_nothing_to_the_connection_that_ended(tcp: Tcp) -> None:
    pystack.register_variant("ack_policy", "failing", failing(AckPolicy, "wait_us"))
    tcp.host.sysctl("tcp_ack_policy", "failing")
    sock = tcp.established()
    tcp.play(
        """
        +0 < P. 1:101(100) ack 1
        &  < P. 101:201(100) ack 1
        +0 > R. 1:1(0) ack 101
        """
    )
    assert sock.recv(1000) == tcp.data(100)
    with pytest.raises(ConnectionAbortedError, match="ACK policy 'failing' raised"):
        sock.recv(1000)


# -- ISN generators -------------------------------------------------------------------------------
def test_without_an_initial_sequence_number_nothing_is_opened() -> None:
    pystack.register_variant("isn", "failing", failing(IsnGenerator, "initial_sequence"))
    wire = make_wire()
    wire.near.sysctl("tcp_isn", "failing")
    told: list[str] = []
    wire.near.on_part_failed = lambda reason, error: told.append(reason)
    near, listener = wire.near.socket(), listening(wire.near)
    far = wire.far.socket()
    near.connect_ex(("198.18.0.2", 80))
    far.connect_ex(("198.18.0.1", listener.getsockname()[1]))
    wire.run()
    with pytest.raises(ConnectionAbortedError, match="ISN generator 'failing' raised"):
        near.connect(("198.18.0.2", 80))
    assert told == [f"ISN generator 'failing' {RAISED}"] * 2
    assert not wire.near.connections
    wire.near.sysctl("tcp_isn", "rfc6528")
    wire.run(2_000_000)  # the far host has sent its SYN again
    assert far.connect_ex(("198.18.0.1", listener.getsockname()[1])) == 0


# -- and what is not a part's fault ---------------------------------------------------------------
def test_the_cores_own_errors_go_on_to_whoever_drives_the_host() -> None:
    class Harmless(Reno):
        name = "harmless"

    pystack.register_variant("congestion_control", "harmless", Harmless)
    ours = scene(make_wire())
    ours.near.setsockopt(TCP, c.TCP_CONGESTION, b"harmless")

    class Trace:
        def packet(self, inbound: bool, packet: Any, now_us: int) -> None: ...

        def state(self, key: bytes, old: int, new: int, now_us: int) -> None:
            raise RuntimeError("not a part")

    ours.wire.near.trace = Trace()
    ours.far.close()
    with pytest.raises(RuntimeError, match="not a part"):
        ours.wire.run()
    assert not ours.told


def test_so_does_one_when_a_handshake_ends(tcp: Tcp) -> None:
    tcp.listen()
    (listener,) = tcp.host.listeners.values()

    def settings(tcb: Tcb) -> None:
        raise RuntimeError("not a part")

    listener.settings = settings
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1460>
        +0 > S. 0:0(0) ack 1 <...>
        """
    )
    with pytest.raises(RuntimeError, match="not a part"):
        tcp.inject(tcp.segment(". 1:1(0) ack 1"))
    assert tcp.take() == []
    assert tcp.host.counters.part_errors == 0

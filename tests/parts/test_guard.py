"""A user's part keeps its own look under the guard, and what it raises names it."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar
from unittest import mock

import pytest

import pystack
from pystack.cc.reno import Reno
from pystack.errors import PartError
from pystack.parts import variants
from pystack.parts.guard import calls_of, is_guarded
from pystack.sockets import Socket
from pystack.sockets import constants as c
from pystack.tcp.policies.contracts import AckPolicy, InitialWindow
from pystack.tcp.policies.isn import IsnGenerator
from tests.sockets.wire import Wire, connected, make_wire

TCP = c.IPPROTO_TCP


class Mine(Reno):
    """A user's."""

    name = "mine"
    gain: ClassVar[int] = 7

    def __init__(self, mss: int, initial_cwnd: int, *, more: int = 0) -> None:
        super().__init__(mss, initial_cwnd)
        self.seen = more

    def on_ack(self, sample: Any) -> None:
        self.seen += 1
        super().on_ack(sample)


@pytest.fixture
def wire() -> Wire:
    return make_wire()


@pytest.fixture(autouse=True)
def _registered() -> None:
    pystack.register_variant("congestion_control", "mine", Mine)


def part_of(near: Socket, factory: Any) -> Any:
    pystack.register_variant("congestion_control", "mine", factory)
    near.setsockopt(TCP, c.TCP_CONGESTION, b"mine")
    return near.variant("congestion_control")


@pytest.mark.parametrize("factory", [Mine, partial(Mine, more=0), lambda *given: Mine(*given)])
def test_a_users_part_is_the_users_own_object(wire: Wire, factory: Any) -> None:
    near, far = connected(wire)
    mine = part_of(near, factory)
    assert is_guarded(mine)
    assert isinstance(mine, Mine)
    assert near.tcb is not None
    assert near.tcb.cc is mine
    cls = type(mine)
    assert (cls.__name__, cls.__qualname__, cls.__module__) == ("Mine", "Mine", __name__)
    assert cls.__doc__ == "A user's."
    assert (mine.name, mine.gain) == ("mine", 7)
    near.send(b"x")
    wire.run()
    far.recv(1)
    assert mine.seen == 1
    mine.cwnd = 12_345  # an experiment may set it
    assert near.tcp_info().tcpi_snd_cwnd == 12_345 // mine.mss


def test_what_pystack_brings_is_not_guarded(wire: Wire) -> None:
    near, _ = connected(wire)
    assert near.tcb is not None
    parts = [near.variant(kind.name) for kind in variants.KINDS.values() if kind.slot]
    assert not any(is_guarded(part) for part in parts)
    pystack.register_variant("congestion_control", "again", Reno)
    near.setsockopt(TCP, c.TCP_CONGESTION, b"again")
    assert type(near.variant("congestion_control")) is Reno


def test_parts_of_one_class_have_one_guard() -> None:
    make = partial(variants.make_congestion_control, "mine", 1000, 10_000)
    assert type(make()) is type(make())
    pystack.register_variant("congestion_control", "mine", lambda *given: Mine(*given))
    assert type(make()) is type(make())


def test_a_class_with_slots_can_be_a_users_part() -> None:
    class Slim(AckPolicy):
        __slots__ = ("asked",)

        def wait_us(self, tcb: Any, now_us: int) -> int:
            self.asked = now_us
            return 0

    for factory in (Slim, lambda: Slim()):
        pystack.register_variant("ack_policy", "slim", factory)
        slim = variants.make("ack_policy", "slim")
        assert slim.wait_us(None, 5) == 0
        assert slim.asked == 5
        assert not hasattr(slim, "__dict__") or not vars(slim)


def test_methods_of_all_sorts_are_calls() -> None:
    class Still(InitialWindow):
        @staticmethod
        def in_bytes(mss: int, config: Any) -> int:  # type: ignore[override]
            return 3 * mss

    pystack.register_variant("initial_window", "still", Still)
    still = variants.make("initial_window", "still")
    assert still.in_bytes(1000, config=None) == 3000
    with mock.patch.object(Still, "in_bytes", return_value=7):
        assert still.in_bytes(1000, None) == 7


def test_what_it_raises_names_it_and_is_the_cause() -> None:
    class Broken(IsnGenerator):
        def initial_sequence(self, key: bytes, now_us: int) -> int:
            raise KeyError("lost")

    pystack.register_variant("isn", "broken", Broken)
    broken = variants.make("isn", "broken", bytes(16))
    with pytest.raises(PartError) as caught:
        broken.initial_sequence(b"", 1)
    error = caught.value
    assert (error.kind, error.name) == ("ISN generator", "broken")
    assert str(error) == "ISN generator 'broken' raised KeyError: 'lost'"
    assert isinstance(error.__cause__, KeyError)


def test_a_call_that_it_inherits_from_pystack_is_guarded_too() -> None:
    class Confused(Reno):
        def __init__(self, mss: int, initial_cwnd: int) -> None:
            self.cwnd = self.ssthresh = initial_cwnd  # and no mss

    pystack.register_variant("congestion_control", "mine", Confused)
    confused = variants.make_congestion_control("mine", 1000, 10_000)
    with pytest.raises(PartError, match="control 'mine' raised AttributeError") as caught:
        confused.on_rto(5000, True, 1)
    assert isinstance(caught.value.__cause__, AttributeError)


def test_what_it_calls_of_its_own_bases_raises_as_ever() -> None:
    class Base(Reno):
        def on_exit_recovery(self, most: int, now_us: int) -> None:
            raise ValueError(most)

    class Careful(Base):
        name = "careful"

        def on_exit_recovery(self, most: int, now_us: int) -> None:
            try:
                super().on_exit_recovery(most, now_us)
            except ValueError:
                self.cwnd = most

    pystack.register_variant("congestion_control", "mine", Careful)
    careful = variants.make_congestion_control("mine", 1000, 10_000)
    careful.on_exit_recovery(1234, 1)
    assert careful.cwnd == 1234


@pytest.mark.parametrize("kind", variants.KINDS.values())
def test_the_calls_of_a_kind_are_those_of_its_base_class(kind: variants.Kind) -> None:
    calls = calls_of(kind.base)
    assert calls
    assert not kind.must or kind.must in calls
    assert not any(name.startswith("_") for name in calls)

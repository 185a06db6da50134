"""The registry of replaceable parts: names, families of names, refusals; parts of a stack."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import pystack
from pystack.config import Config
from pystack.parts import variants
from pystack.tcp.policies.contracts import NOW, AckPolicy
from pystack.tcp.policies.isn import IsnGenerator
from pystack.tcp.tcb import Tcb
from tests.kit.builds import reads_docstrings
from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp

SECRET = b"sixteen octets or more, for tests"


def told(call: Any, *args: Any) -> str:
    """What the OSError of a call says."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its text is looked at)
        call(*args)
    return str(caught.value.strerror)


def host(**settings: str) -> pystack.Host:
    return pystack.Host(["192.0.2.1/24"], secret=SECRET, config=Config(**settings))


class AtOnce(AckPolicy):
    def wait_us(self, tcb: Tcb, now_us: int) -> int:
        return NOW


class Counting(IsnGenerator):
    """1001, 1002, …: fit for nothing but tests."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.last = 1000

    def initial_sequence(self, key: bytes, now_us: int) -> int:
        self.last += 1
        return self.last


# -- names ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", variants.KINDS)
def test_every_kind_has_a_setting_whose_default_is_a_known_name(kind: str) -> None:
    setting = variants.KINDS[kind].setting
    assert variants.kind_of(setting) == kind
    variants.check(kind, getattr(Config(), setting))


@reads_docstrings
@pytest.mark.parametrize("kind", [kind for kind in variants.KINDS if variants.KINDS[kind].slot])
def test_every_kind_says_what_it_is_for(kind: str) -> None:
    assert (variants.KINDS[kind].base.__doc__ or "").strip()


def test_a_name_in_n_stands_for_all_numbers() -> None:
    assert variants.make("ack_policy", "every-3").segs == 3
    assert variants.make("ack_policy", "every-10").segs == 10
    assert variants.make("ack_policy", "ack-rate").per_rtt == 4
    assert variants.make("ack_policy", "ack-rate-8").per_rtt == 8


@pytest.mark.parametrize(
    "name", ["every-n", "every-", "every-x", "every--1", "every-²", "every", ""]
)
def test_a_family_takes_nothing_but_numbers(name: str) -> None:
    with fails_with(errno.ENOENT):
        variants.check("ack_policy", name)


def test_a_number_that_a_family_does_not_take_is_refused_with_its_reason() -> None:
    words = told(variants.check, "ack_policy", "every-0")
    assert words == "ACK policy 'every-0' can't be made: an ACK is for one segment at least"


def test_an_unknown_name_is_answered_by_those_there_are() -> None:
    words = told(variants.check, "nagle_policy", "nosuch")
    assert words.startswith("there is no Nagle policy 'nosuch': there is ")
    assert "minshall, nagle, off" in words
    assert "there is " in told(variants.check, "congestion_control", "nosuch")
    assert "ack_policy" in told(variants.names, "nosuch")


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a,b", "ä", "x" * 32, "a\n"])
def test_a_bad_name_cannot_be_registered(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        pystack.register_variant("ack_policy", name, AtOnce)


@pytest.mark.parametrize("kind", ["checksum", "ack_polcy", "", None, ["ack_policy"]])
def test_an_unknown_kind_is_answered_by_those_there_are(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"can't be replaced: there is ack_policy, rtt_estimator"):
        pystack.register_variant(kind, "mine", AtOnce)


class Nothing:
    """No part of anything."""


@pytest.mark.parametrize("kind", variants.KINDS)
@pytest.mark.parametrize("given", [int, Nothing, type(None), None, 5, "AtOnce", Nothing()])
def test_what_is_no_part_is_refused_and_the_class_named_that_is_wanted(
    kind: str, given: Any
) -> None:
    about = variants.KINDS[kind]
    with pytest.raises(TypeError) as caught:
        pystack.register_variant(kind, "mine", given)
    words = str(caught.value)
    assert "\n" not in words
    assert words.startswith(f"{about.words}=")
    assert f"a class made from {about.base.__module__}.{about.base.__name__}" in words
    assert "mine" not in variants.names(kind)


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"contracts\.NaglePolicy was expected"):
        pystack.register_variant("nagle_policy", "mine", AtOnce)
    with pytest.raises(TypeError, match=r"cc\.base\.CongestionControl was expected"):
        pystack.register_variant("congestion_control", "mine", AtOnce)


def test_an_object_in_the_place_of_its_class_is_refused() -> None:
    with pytest.raises(TypeError, match=r"AckPolicy was expected, not an object of one"):
        pystack.register_variant("ack_policy", "mine", AtOnce())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [kind for kind in variants.KINDS.values() if kind.must])
def test_a_class_without_the_call_that_its_kind_is_about_is_refused(kind: variants.Kind) -> None:
    unfinished = type("Unfinished", (kind.base,), {})
    with pytest.raises(TypeError, match=rf"'mine': Unfinished has no {kind.must}\(\)"):
        pystack.register_variant(kind.name, "mine", unfinished)
    finished = type("Finished", (unfinished,), {kind.must: lambda *told: 0})
    pystack.register_variant(kind.name, "mine", type("Made", (finished,), {}))


@pytest.mark.parametrize("kind", variants.KINDS)
@pytest.mark.parametrize("name", [b"mine", 5, None, AtOnce])
def test_a_name_that_is_no_text_is_refused(kind: str, name: Any) -> None:
    with pytest.raises(TypeError, match=r"name=.*: a text such as 'mine' was expected"):
        pystack.register_variant(kind, name, AtOnce)


def test_a_congestion_control_is_registered_by_the_same_door() -> None:
    from pystack.cc import registry

    pystack.register_variant("congestion_control", "reno2", registry.factory("reno"))
    assert "reno2" in registry.names()
    assert "reno2" in variants.names("congestion_control")


def test_a_later_registration_takes_the_place_of_an_earlier_one() -> None:
    class Shared(AtOnce):
        shared = True

    class Other(AtOnce):
        pass

    pystack.register_variant("ack_policy", "twice", Shared)
    assert isinstance(variants.make("ack_policy", "twice"), Shared)
    pystack.register_variant("ack_policy", "twice", Other)
    assert isinstance(variants.make("ack_policy", "twice"), Other)


def test_a_part_is_each_connections_own_unless_its_class_says_otherwise() -> None:
    pystack.register_variant("ack_policy", "at-once", AtOnce)
    make = variants.make
    assert make("ack_policy", "at-once") is not make("ack_policy", "at-once")
    assert make("ack_policy", "quick") is make("ack_policy", "quick")
    assert make("ack_policy", "every-3") is make("ack_policy", "every-3")


def test_what_raises_while_it_is_made_or_is_of_another_kind_is_refused() -> None:
    pystack.register_variant("ack_policy", "broken", lambda: 1 / 0)
    words = told(variants.make, "ack_policy", "broken")
    assert words == "ACK policy 'broken' can't be made: division by zero"
    pystack.register_variant("ack_policy", "wrong", lambda: variants.make("nagle_policy", "off"))
    assert "is no AckPolicy" in told(variants.make, "ack_policy", "wrong")


# -- of a stack -----------------------------------------------------------------------------------
def test_a_setting_takes_known_names_only() -> None:
    own = host()
    assert own.sysctl("net.ipv4.tcp_ack_policy", "every-4") == "every-4"
    assert told(own.sysctl, "tcp_ack_policy", "nosuch").startswith("there is no ACK policy")
    assert own.sysctl("tcp_ack_policy") == "every-4"


def test_a_host_is_not_made_with_an_unknown_name() -> None:
    assert told(lambda: host(tcp_nagle_policy="nosuch")).startswith("there is no Nagle policy")
    assert told(lambda: host(tcp_isn="nosuch")).startswith("there is no ISN generator")
    assert "'nosuch'" in told(lambda: host(tcp_congestion_control="nosuch"))


def test_each_stack_has_an_isn_generator_of_its_own() -> None:
    pystack.register_variant("isn", "counting", Counting)
    one, other = host(tcp_isn="counting"), host()
    other.sysctl("tcp_isn", "counting")
    assert [one.isn(b"", 1), one.isn(b"", 1), other.isn(b"", 1)] == [1001, 1002, 1001]


@pytest.mark.host(isn=False)
def test_a_users_isn_generator_numbers_both_kinds_of_opening(tcp: Tcp) -> None:
    pystack.register_variant("isn", "counting", Counting)
    tcp.host.sysctl("tcp_isn", "counting")
    tcp.listen()
    tcp.connect()
    tcp.play("+0 > S  =1001:=1001(0) <...>")
    tcp.play(
        """
        +0 b<  S  0:0(0) win 65535 <mss 1460>
        +0 b> S. =1002:=1002(0) ack 1 <...>
        """
    )

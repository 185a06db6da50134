"""What stacks, loops and cables say to arguments that they cannot take, when they are made."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pystack import Stack
from pystack.aio import EventLoop, attached
from pystack.aio.devices.cable import Cable
from pystack.path.link import Stage
from pystack.sim.vloop import VirtualLoop
from pystack.sockets import Host
from pystack.wire.address import pack
from tests.aio.two_stacks import two_stacks

OWN = "a text such as '198.18.0.2/24' was expected"


def over(*addresses: Any, **options: Any) -> Stack:
    return Stack.over(Cable().left, *(addresses or ("10.0.0.1/24",)), **options)


def over_tun(*arguments: Any, **options: Any) -> Stack:
    return Stack.over_tun(*(arguments or ("tun0", "198.18.0.2/24")), **options)


CASES: list[tuple[Any, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (over, (["10.0.0.1/24"],), {}, TypeError, f"addresses=['10.0.0.1/24']: {OWN}"),
    (over, (b"10.0.0.1/24",), {}, TypeError, f"addresses=b'10.0.0.1/24': {OWN}"),
    (over, ("nonsense",), {}, ValueError, "'nonsense' does not appear to be an IPv4"),
    (over, ("10.0.0.255/24",), {}, ValueError, "10.0.0.255 is the broadcast address of 10.0"),
    (Stack.over, ("10.0.0.1/24",), {}, TypeError, "device='10.0.0.1/24': a device was expected"),
    (Stack.over, (Cable(), "10.0.0.1/24"), {}, TypeError, "such as an end of a pystack.aio.Cable"),
    (over, (), {"secret": "x" * 32}, TypeError, "the secret has 16 to 64 random bytes, and is no"),
    (over, (), {"secret": b""}, ValueError, "the secret has 16 to 64 random bytes, not 0"),
    (over_tun, ("198.18.0.2/24",), {}, OSError, 'over_tun("tun0", "198.18.0.2/24")'),
    (over_tun, ("tun0",), {}, OSError, 'no address was given: give one such as "198.18.0.2/24"'),
    (over_tun, (5, "198.18.0.2/24"), {}, TypeError, "name=5: a text such as 'tun0' was expected"),
    (over_tun, ("tun0", ["198.18.0.2/24"]), {}, TypeError, f"address=['198.18.0.2/24']: {OWN}"),
    (over_tun, ("tun0", b"198.18.0.2/24"), {}, TypeError, f"address=b'198.18.0.2/24': {OWN}"),
    (over_tun, (), {"addr6": 6}, TypeError, f"address=6: {OWN}"),
    (over_tun, (), {"peer": 5}, TypeError, "peer=5: a text such as '198.18.0.1' was expected"),
    (over_tun, (), {"mtu": "1500"}, TypeError, "mtu='1500': bytes were expected, such as 1500"),
    (over_tun, (), {"impair": ["loss 1%"]}, TypeError, "impair=['loss 1%']: a text such as"),
    (over_tun, (), {"impair": "los 1%"}, ValueError, "'los' is no word of an impairment"),
    (Cable, (["delay 1ms"],), {}, TypeError, "impair=['delay 1ms']: a text such as 'delay 20ms"),
    (Cable, (("delay 1ms", "loss 1%"),), {}, TypeError, "two stages of pystack.path were expected"),
    (Cable, ((Stage(),),), {}, TypeError, "two stages of pystack.path were expected"),
    (EventLoop, ("tun0",), {}, TypeError, "stack='tun0': a pystack.Stack was expected"),
    (EventLoop, (Stack,), {}, TypeError, "a pystack.Stack was expected"),
    *(
        (make, (), options, kind, words)
        for make in (over, over_tun)
        for options, kind, words in (
            ({"routes": 5}, TypeError, "routes=5: texts such as '10.0.0.0/8' were expected"),
            ({"routes": [5]}, TypeError, "routes=5: a text such as '10.0.0.0/8' was expected"),
            ({"routes": b"10.0.0.0/8"}, TypeError, "routes=b'10.0.0.0/8': texts such as"),
            ({"routes": "10.0.0.1/8"}, ValueError, "a network such as 10.0.0.0/8 was expected"),
            ({"names": ["db"]}, TypeError, "names=['db']: a dict such as {'db': '198.18.0.1'}"),
            ({"names": "db=1.2.3.4"}, TypeError, "names='db=1.2.3.4': a dict such as"),
            ({"names": {"db": 5}}, TypeError, "names=5: texts such as '198.18.0.1' were expected"),
            ({"names": {"db": [b"1"]}}, TypeError, "names=b'1': a text such as '198.18.0.1'"),
            ({"names": {5: "1.2.3.4"}}, TypeError, "names=5: a text such as 'db' was expected"),
            ({"names": {"db": "x"}}, ValueError, "'x' does not appear to be an IPv4 or IPv6 addr"),
            ({"sysctl": "tcp_sack=0"}, TypeError, "sysctl='tcp_sack=0': a dict such as {'tcp_sa"),
            ({"sysctl": ["tcp_sack"]}, TypeError, "sysctl=['tcp_sack']: a dict such as"),
            ({"sysctl": {5: 1}}, TypeError, "sysctl=5: a text such as 'tcp_sack' was expected"),
            ({"sysctl": {"tcp_sack": None}}, OSError, "tcp_sack does not take the value None"),
            ({"grace": "2s"}, TypeError, "grace='2s': seconds were expected"),
            ({"grace": -1}, ValueError, "grace=-1: seconds were expected"),
        )
    ),
]


@pytest.mark.parametrize(("make", "given", "options", "kind", "words"), CASES)
def test_it_is_told_in_one_line_when_it_is_given(
    make: Any, given: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        make(*given, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["tun0", 5, Host("10.0.0.1/24", secret=bytes(16))])
def test_only_a_stack_is_attached(given: Any) -> None:
    with pytest.raises(TypeError, match=r": a pystack\.Stack was expected"), attached(given):
        pass


@two_stacks(routes="192.0.2.0/24", names={"db": "198.18.0.9"})
async def test_a_single_text_is_one_route_and_one_address_of_a_name(
    left: Stack, right: Stack
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.attached.append(left)
    assert loop.router.stack_to(pack("192.0.2.77")) is left
    assert loop.router.stack_to(pack("192.0.3.77")) is None
    assert left.look_up("db") == ("198.18.0.9",)

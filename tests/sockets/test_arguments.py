"""What a host says to arguments that it cannot take: in one line what was given, what is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from pystack import Config
from pystack.sockets import Host
from pystack.wire.address import text
from tests.kit.builds import says

SECRET = bytes(range(32))


def test_a_single_text_is_one_address() -> None:
    own = Host("10.0.0.1/24", secret=SECRET)
    assert [text(one) for one in own.addresses.all()] == ["10.0.0.1"]


@pytest.mark.parametrize("addresses", [("10.0.0.1/24", "fd00::1/64"), {"10.0.0.1/24": 1}.keys()])
def test_several_addresses_come_in_any_collection(addresses: Any) -> None:
    own = Host(addresses, secret=SECRET)
    assert len(own.addresses.all()) == len(addresses)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"addresses": b"10.0.0.1/24"}, TypeError, "addresses=b'10.0.0.1/24': texts such as '10."),
        ({"addresses": [b"10.0.0.1/24"]}, TypeError, "addresses=b'10.0.0.1/24': a text such as"),
        ({"addresses": [5]}, TypeError, "addresses=5: a text such as '10.0.0.1/24' was expected"),
        ({"addresses": 5}, TypeError, "addresses=5: texts such as '10.0.0.1/24' were expected"),
        ({"addresses": None}, TypeError, "addresses=None: texts such as '10.0.0.1/24' were"),
        ({"addresses": {"eth0": "10.0.0.1/24"}}, TypeError, "addresses={'eth0': '10.0.0.1/24'}:"),
        ({"addresses": "nonsense"}, ValueError, "'nonsense' does not appear to be an IPv4 or IPv6"),
        ({"addresses": "10.0.0.1/33"}, ValueError, "'10.0.0.1/33' does not appear to be an"),
        ({"addresses": "1"}, ValueError, "'1' does not appear to be an IPv4 or IPv6 interf"),
        ({"addresses": "224.0.0.1/4"}, ValueError, "224.0.0.1/4 is no unicast address of a"),
        ({"addresses": "10.0.0.255/24"}, ValueError, "10.0.0.255 is the broadcast address of"),
        ({"addresses": "10.0.0.0/24"}, ValueError, "10.0.0.0 is the address of the network"),
        ({"secret": "x" * 32}, TypeError, "the secret has 16 to 64 random bytes, and is no str"),
        ({"secret": None}, TypeError, "the secret has 16 to 64 random bytes, and is no NoneType"),
        ({"secret": b"x"}, ValueError, "the secret has 16 to 64 random bytes, not 1"),
        ({"mtu": "1500"}, TypeError, "mtu='1500': bytes, from 68 to 65536, were expected"),
        ({"mtu": -1}, ValueError, "mtu=-1: bytes, from 68 to 65536, were expected"),
        ({"config": {"tcp_sack": 0}}, TypeError, "config={'tcp_sack': 0}: a pystack.Config was"),
    ],
)
def test_what_a_host_cannot_take_is_told(
    arguments: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        Host(**{"addresses": "10.0.0.1/24", "secret": SECRET, **arguments})
    assert says(caught.value, words), caught.value


@pytest.mark.parametrize("own", ["10.0.0.0/31", "10.0.0.1/31", "10.0.0.0/32", "fd00::/127"])
def test_point_to_point_links_have_no_addresses_to_spare(own: str) -> None:
    assert Host(own, secret=SECRET).addresses.all()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tcp_sack", None, "tcp_sack does not take the value None"),
        ("tcp_sack", 0.5, "tcp_sack does not take the value 0.5"),
        ("tcp_sack", [1], r"tcp_sack does not take the value \[1\]"),
        ("tcp_rmem", (1, 2), r"tcp_rmem does not take the value \(1, 2\)"),
        ("tcp_rmem", ("a", 2, 3), "tcp_rmem does not take the value"),
    ],
)
def test_a_setting_of_another_type_is_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(OSError, match=words):
        Config().set(name, value)


def test_a_setting_of_several_numbers_takes_a_tuple() -> None:
    config = Config()
    config.set("tcp_rmem", (4096, 8192, 65536))
    assert config.get("tcp_rmem") == "4096\t8192\t65536"


def test_settings_ports_and_congestion_controls_are_named_in_what_is_said_of_them() -> None:
    from pystack.sockets.constants import IPPROTO_TCP, TCP_CONGESTION

    own = Host("10.0.0.1/24", secret=SECRET)
    sock = own.socket()
    with pytest.raises(TypeError) as caught:
        own.sysctl(5)  # type: ignore[arg-type]
    assert says(caught.value, "name=5: a text such as 'tcp_sack' was expected")
    with pytest.raises(TypeError, match="a port is an int, not '80'"):
        sock.bind(("10.0.0.1", "80"))
    with pytest.raises(OverflowError, match="a port is 0 to 65535, not 80000"):
        sock.bind(("10.0.0.1", 80_000))
    with pytest.raises(FileNotFoundError, match="no congestion control 'rneo': there is bbr"):
        sock.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"rneo")

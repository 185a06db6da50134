"""SipHash-2-4: the values of its reference implementation, for the key 00 01 … 0f."""

from __future__ import annotations

import pytest

from pystack.ip.siphash import siphash

KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("length", "value"),
    [
        (0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD), (7, 0xAB0200F58B01D137),
        (8, 0x93F5F5799A932462), (15, 0xA129CA6149BE45E5), (32, 0x7127512F72F27CCE),
    ],
)  # fmt: skip
def test_octets_that_count_up_have_the_published_hash(length: int, value: int) -> None:
    assert siphash(KEY, bytes(range(length))) == value

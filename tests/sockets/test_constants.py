"""The numbers of the socket calls are Linux's, as Python's own modules have them."""

from __future__ import annotations

import select
import socket
import sys

import pytest

from pystack.sockets import constants

OURS = {name: value for name, value in vars(constants).items() if name.isupper()}
THEIRS = {**vars(select), **vars(socket)}
# what Python's modules have under another name, or not at all: <bits/in.h>, <asm-generic/ioctls.h>
HEADERS = {
    "IP_MTU_DISCOVER": 10, "IP_RECVERR": 11, "IP_MTU": 14, "IPV6_MTU_DISCOVER": 23, "IPV6_MTU": 24,
    "IPV6_RECVERR": 25, "SIOCATMARK": 0x8905, "SIOCINQ": 0x541B, "SIOCOUTQ": 0x5411,
    "SO_MAX_PACING_RATE": 47, "SO_EE_ORIGIN_LOCAL": 1, "SO_EE_ORIGIN_ICMP": 2,
    "SO_EE_ORIGIN_ICMP6": 3,
}


@pytest.mark.skipif(sys.platform != "linux", reason="Python's numbers are those of its system")
def test_they_are_those_of_pythons_modules() -> None:
    shared = OURS.keys() & THEIRS.keys()
    assert len(shared) > 60
    assert {name: OURS[name] for name in shared} == {name: int(THEIRS[name]) for name in shared}


def test_the_others_are_those_of_linuxs_headers() -> None:
    assert {name: OURS[name] for name in HEADERS} == HEADERS

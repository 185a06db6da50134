"""The numbers of socket calls: those of Python's `socket` module, and Linux's, which a stack has.

A user of asyncio's calls writes `socket.AF_INET6` and `socket.SO_REUSEADDR`, which are other
numbers on each system. On Linux they are the stack's own, and everything here gives back what it is
given. Elsewhere each is translated by its name; what the system has no name for is taken as
Linux's, so that all of `pystack.sockets.constants` can be said there too. Errors need none of this:
they are raised with the system's own errno.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from pystack.sockets import constants

_LEVELS: Final = {
    "SOL_SOCKET": "SO_", "IPPROTO_TCP": "TCP_", "IPPROTO_IP": "IP_", "IPPROTO_IPV6": "IPV6_",
}  # fmt: skip
_OTHER_NAMES: Final = {"TCP_KEEPIDLE": "TCP_KEEPALIVE"}  # macOS's
_UNKNOWN: Final = -1  # no option has this number

Option = tuple[int, int]  # level and number


def _translated_options(here: Mapping[str, object], linux: Mapping[str, object]) -> dict[
    Option, Option
]:
    """Options of the system that have another number in Linux, or none at all."""
    found: dict[Option, Option] = {}
    for level_name, prefix in _LEVELS.items():
        level = here[level_name]
        assert isinstance(level, int)
        for name, number in here.items():
            if name.startswith(prefix) and isinstance(number, int):
                theirs = linux.get(name, _UNKNOWN)
                found[int(level), int(number)] = _pair(linux[level_name], theirs)
        for name, other in _OTHER_NAMES.items():
            number = here.get(other)
            if name not in here and name.startswith(prefix) and isinstance(number, int):
                found[int(level), int(number)] = _pair(linux[level_name], linux[name])
    return found


def _pair(level: object, number: object) -> Option:
    assert isinstance(level, int)
    assert isinstance(number, int)
    return level, number


def _translated_flags(here: Mapping[str, object], linux: Mapping[str, object]) -> dict[int, int]:
    """The flags of `send` and `recv` of the system, and Linux's of the same names."""
    return {
        int(number): theirs
        for name, number in here.items()
        if name.startswith("MSG_") and isinstance(number, int)
        if isinstance(theirs := linux.get(name, 0), int)
    }


_LINUX: Final[Mapping[str, object]] = vars(constants)
_HERE: Final[Mapping[str, object]] = vars(socket)
# where these two are Linux's, all are
_ARE_LINUX: Final = (int(socket.AF_INET6), int(socket.SOL_SOCKET)) == (
    constants.AF_INET6, constants.SOL_SOCKET,
)  # fmt: skip
_OPTIONS: Final = {} if _ARE_LINUX else _translated_options(_HERE, _LINUX)
_FLAGS: Final = {} if _ARE_LINUX else _translated_flags(_HERE, _LINUX)


def family(here: int) -> int:
    """Linux's number of an address family; AF_UNSPEC and those that no stack has stay."""
    return constants.AF_INET6 if here == socket.AF_INET6 else int(here)


def family_here(linux: int) -> socket.AddressFamily:
    """The system's number of AF_INET or AF_INET6, by Linux's."""
    return socket.AF_INET6 if linux == constants.AF_INET6 else socket.AddressFamily(linux)


def option(level: int, number: int) -> Option:
    """Linux's level and number of an option; one that a stack cannot have is unknown to it."""
    return _OPTIONS.get((level, number), (level, number))


def flags(here: int) -> int:
    """Linux's flags of `send` and `recv`."""
    if not _FLAGS or not here:
        return here
    return _each(here, _FLAGS)


def flags_here(linux: int) -> int:
    """The system's flags for those that `recvmsg` tells of."""
    if not _FLAGS or not linux:
        return linux
    return _each(linux, {theirs: own for own, theirs in _FLAGS.items() if theirs})


def _each(given: int, table: Mapping[int, int]) -> int:
    found = 0
    for bit in (1 << place for place in range(given.bit_length())):
        if given & bit:
            found |= table.get(bit, bit)
    return found

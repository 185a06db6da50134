"""What public calls are given, where that is of another type than they take: one line says both.

Everything that a call takes in one of several forms comes through here once, when it is given, so
that a mistake is told where it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from reprlib import repr as shortened
from typing import Any, Final

_MTU: Final = (68, 65_536)  # bytes: IPv4's least (RFC 791), and what Linux gives its loopback


def unfit(what: str, given: object, wanted: str) -> str:
    """What to say of an argument: its name, what it is, what was expected."""
    return f"{what}={shortened(given)}: {wanted}"


def texts(what: str, given: object, example: str) -> tuple[str, ...]:
    """One or several texts; a text alone is one. Raises TypeError for all else."""
    several: Any = (given,) if isinstance(given, str) else given
    if isinstance(given, (bytes, bytearray, Mapping)) or not isinstance(several, Iterable):
        raise TypeError(unfit(what, given, f"texts such as {example!r} were expected"))
    return tuple(text(what, one, example) for one in several)


def text(what: str, given: object, example: str) -> str:
    """A text. Raises TypeError for all else."""
    if not isinstance(given, str):
        raise TypeError(unfit(what, given, f"a text such as {example!r} was expected"))
    return given


def mapping(what: str, given: object, example: str) -> Mapping[Any, Any]:
    """A dict, or what is like one. Raises TypeError for all else."""
    if not isinstance(given, Mapping):
        raise TypeError(unfit(what, given, f"a dict such as {example} was expected"))
    return given


def whole(what: str, given: object, wanted: str, least: int, most: int | None = None) -> int:
    """An int between two bounds. Raises TypeError for another type, ValueError outside of them."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(unfit(what, given, wanted))
    if given < least or (most is not None and given > most):
        raise ValueError(unfit(what, given, wanted))
    return given


def number(
    what: str, given: object, wanted: str, least: float = 0, most: float = float("inf")
) -> float:
    """An int or a float between two bounds. Raises TypeError and ValueError as `whole`."""
    if not isinstance(given, (int, float)) or isinstance(given, bool):
        raise TypeError(unfit(what, given, wanted))
    if not least <= given <= most:
        raise ValueError(unfit(what, given, wanted))
    return given


def function(what: str, given: object) -> None:
    """Raises TypeError for what cannot be called."""
    if not callable(given):
        raise TypeError(unfit(what, given, "a function was expected"))


def mtu(given: object) -> int:
    """An MTU in bytes. Raises TypeError for another type, ValueError out of bounds."""
    wanted = f"bytes, from {_MTU[0]} to {_MTU[1]}, were expected"
    return whole("mtu", given, wanted, *_MTU)


def secret(given: object) -> bytes:
    """A key: 16 to 64 bytes. Raises TypeError for another type, ValueError for another length."""
    if not isinstance(given, (bytes, bytearray)):
        kind = type(given).__name__  # not the secret itself
        raise TypeError(f"the secret has 16 to 64 random bytes, and is no {kind}")
    if not 16 <= len(given) <= 64:
        raise ValueError(f"the secret has 16 to 64 random bytes, not {len(given)}")
    return bytes(given)


def factory(words: str, base: type, given: object) -> Callable[..., Any]:
    """What makes parts: a class that is made from `base`, or a function that gives one. Raises
    TypeError, naming `base`, for all else."""
    wanted = f"a class made from {base.__module__}.{base.__name__} was expected"
    if isinstance(given, type):
        if not issubclass(given, base):
            raise TypeError(unfit(words, given, wanted))
        return given
    if isinstance(given, base):
        raise TypeError(unfit(words, given, f"{wanted}, not an object of one"))
    if not callable(given):
        raise TypeError(unfit(words, given, wanted))
    return given

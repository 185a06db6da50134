"""Whether a replaceable part is at fault for an exception that has come out of a connection.

A part that raises ends its connection and nothing else. What the core raises by itself is a
programming error, and goes on to whoever drives the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pystack.errors import PartError
from pystack.parts.guard import is_guarded
from pystack.parts.variants import KINDS, Kind
from pystack.tcp.tcb import Tcb

_CC_NUMBERS = ("cwnd", "ssthresh", "pacing_rate")
_RTT_NUMBERS = ("srtt_us", "rttvar_us", "rto_us")


def reason_of(tcb: Tcb, error: Exception) -> str:
    """What to tell the users of `tcb`, naming the part at fault; "" when none is."""
    raised_by = error.part if isinstance(error, PartError) else None
    for kind, part in _users_parts(tcb):
        if part is raised_by:
            continue  # what it has raised tells more
        wrong = ""
        if kind.slot == "cc":
            wrong = _no_int(part, _CC_NUMBERS)
        elif kind.slot == "rtt_estimator":
            wrong = _no_int(tcb, _RTT_NUMBERS)
        if wrong:
            return f"{kind.words} {part.name!r} has set {wrong}, which is no int"
    if isinstance(error, PartError):
        return str(error)
    if isinstance(error, AttributeError):
        for kind, part in _users_parts(tcb):
            # The class has not set what the core looks for; compiled code does not say where
            if error.obj is part or (error.obj is None and _is_unfinished(kind, part)):
                return raised(kind, part.name, error)
    return ""


def raised(kind: Kind, name: str, error: Exception) -> str:
    """The words for a part that has raised `error`, or has made the core raise it."""
    if isinstance(error, PartError):
        return str(error)
    return f"{kind.words} {name!r} raised {type(error).__name__}: {error}"


def cause_of(error: Exception) -> Exception:
    """What the part itself has raised."""
    return error.cause if isinstance(error, PartError) else error


def _users_parts(tcb: Tcb) -> Iterator[tuple[Kind, Any]]:
    for kind in KINDS.values():
        part = getattr(tcb, kind.slot) if kind.slot else None
        if is_guarded(part):
            yield kind, part


def _is_unfinished(kind: Kind, part: Any) -> bool:
    return kind.slot == "cc" and not all(hasattr(part, name) for name in _CC_NUMBERS)


def _no_int(owner: Any, names: tuple[str, ...]) -> str:
    """`name to value` of the first that is no int, "" when all are."""
    for name in names:
        value = getattr(owner, name, 0)
        if type(value) is not int:
            return f"{name} to {value!r}"
    return ""

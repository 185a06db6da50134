"""Whose fault an exception is that has come out of a connection: a replaceable part's, or our own.

A part that raises ends its connection and nothing else. What the core raises by itself is a
programming error, and goes on to whoever drives the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, TracebackType
from typing import Any

from pystack.parts.variants import KINDS, OPTION, Kind
from pystack.tcp.policies.experimental_option import ExperimentalOption
from pystack.tcp.tcb import Tcb

_OBSERVER = Kind("recorder", "recorder", "", "recorder", object)  # tcp.recording.Observer
_CC_NUMBERS = ("cwnd", "ssthresh", "pacing_rate")
_RTT_NUMBERS = ("srtt_us", "rttvar_us", "rto_us")


def reason_of(tcb: Tcb, error: Exception) -> str:
    """What to tell the users of `tcb`, naming the part at fault; "" when none is."""
    parts = {id(part): kind for kind, part in _parts(tcb)}
    found = _at_fault(parts, error)
    if found is None and isinstance(error, AttributeError) and error.obj is None:
        # compiled code does not say where it has looked
        found = next((part for kind, part in _parts(tcb) if _is_unfinished(kind, part)), None)
    for kind, part in _parts(tcb):
        if part is found:
            continue  # what it has raised tells more
        wrong = ""
        if kind.slot == "cc":
            wrong = _no_int(part, _CC_NUMBERS)
        elif kind.slot == "rtt_estimator":
            wrong = _no_int(tcb, _RTT_NUMBERS)
        if wrong:
            return f"{kind.words} {part.name!r} has set {wrong}, which is no int"
    return raised(parts[id(found)], found.name, error) if found is not None else ""


def reason_of_option(option: ExperimentalOption | None, error: Exception) -> str:
    """As `reason_of`, where there is no TCB yet."""
    kind = KINDS[OPTION]
    if option is None or _at_fault({id(option): kind}, error) is None:
        return ""
    return raised(kind, option.name, error)


def raised(kind: Kind, name: str, error: Exception) -> str:
    """The words for a part that has raised `error`."""
    return f"{kind.words} {name!r} raised {type(error).__name__}: {error}"


def _parts(tcb: Tcb) -> Iterator[tuple[Kind, Any]]:
    for kind in (*KINDS.values(), _OBSERVER):
        part = getattr(tcb, kind.slot, None) if kind.slot else None
        if part is not None:
            yield kind, part


def _at_fault(parts: dict[int, Kind], error: Exception) -> Any:
    found = _part_within(error.__traceback__, parts)
    if found is None and isinstance(error, AttributeError) and id(error.obj) in parts:
        return error.obj  # the core has looked for what the class should have set
    return found


def _part_within(trace: TracebackType | None, parts: dict[int, Kind]) -> Any:
    """The innermost part whose method stands in the traceback, None for none."""
    found = None
    while trace is not None:
        frame = trace.tb_frame
        first = _first_argument(frame.f_code)
        if first:
            part = frame.f_locals.get(first)
            if id(part) in parts:
                found = part
        trace = trace.tb_next
    return found


def _first_argument(code: CodeType) -> str:
    return code.co_varnames[0] if code.co_argcount else ""


def _is_unfinished(kind: Kind, part: Any) -> bool:
    return kind.slot == "cc" and not all(hasattr(part, name) for name in _CC_NUMBERS)


def _no_int(owner: Any, names: tuple[str, ...]) -> str:
    """`name to value` of the first that is no int, "" when all are."""
    for name in names:
        value = getattr(owner, name, 0)
        if type(value) is not int:
            return f"{name} to {value!r}"
    return ""

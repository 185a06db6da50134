"""ICMP messages by names that mean the same in both families (RFC 792, RFC 4443)."""

from __future__ import annotations

from tests.kit.notation import ScriptError

NAMES: dict[str, tuple[tuple[int, int] | None, tuple[int, int] | None]] = {
    # name: (IPv4 type and code, IPv6 type and code)
    "echo_request": ((8, 0), (128, 0)),
    "echo_reply": ((0, 0), (129, 0)),
    "unreachable net": ((3, 0), (1, 0)),
    "unreachable host": ((3, 1), (1, 3)),
    "unreachable proto": ((3, 2), (4, 1)),
    "unreachable port": ((3, 3), (1, 4)),
    "unreachable frag_needed": ((3, 4), (2, 0)),
    "frag_needed": ((3, 4), (2, 0)),
    "packet_too_big": ((3, 4), (2, 0)),
    "unreachable source_route": ((3, 5), None),
    "unreachable isolated": ((3, 8), None),
    "unreachable prohibited": ((3, 13), (1, 1)),
    "source_quench": ((4, 0), None),
    "redirect": ((5, 1), (137, 0)),
    "time_exceeded transit": ((11, 0), (3, 0)),
    "time_exceeded reassembly": ((11, 1), (3, 1)),
    "parameter_problem header": ((12, 0), (4, 0)),
    "parameter_problem next_header": (None, (4, 1)),
    "parameter_problem option": ((12, 1), (4, 2)),
}

ERRORS4 = frozenset((3, 4, 5, 11, 12))


def type_and_code(name: str, version: int) -> tuple[int, int]:
    """The numbers of a name, or of `type N code N`."""
    words = name.split()
    if words[0] == "type":
        return int(words[1], 0), int(words[3], 0)
    if name not in NAMES:
        raise ScriptError(f"ICMP {name!r} is not known")
    found = NAMES[name][0 if version == 4 else 1]
    if found is None:
        raise ScriptError(f"ICMP {name!r} does not exist in IPv{version}")
    return found


def is_error(kind: int, version: int) -> bool:
    return kind in ERRORS4 if version == 4 else kind < 128


def name_of(kind: int, code: int, version: int) -> str:
    for name, numbers in NAMES.items():
        if numbers[0 if version == 4 else 1] == (kind, code):
            return name
    return f"type {kind} code {code}"

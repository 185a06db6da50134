"""All answers about all options, as lines that can be stored and compared.

`Summary` leads from an option and a kind of socket, as "TCP/IPv4", to one line: what a fresh
socket's option reads, then each value that was set with what was read afterwards or the errno, then
what is different on a listening and on a connected socket.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pystack.sockets import constants as c
from tests.sockets.options import trial
from tests.sockets.options.names import OPTIONS
from tests.sockets.world import World

Summary = dict[str, dict[str, str]]  # option, kind of socket: line

STORED: Final = Path(__file__).with_name("linux-6.18.txt")
FAMILIES: Final = {c.AF_INET: "IPv4", c.AF_INET6: "IPv6"}
KINDS: Final = {c.SOCK_STREAM: "TCP", c.SOCK_DGRAM: "UDP"}
# of which the numbers are those of that socket, machine or moment
OWN_NUMBERS: Final = frozenset((
    "SO_COOKIE", "SO_INCOMING_CPU", "TCP_TIMESTAMP", "IP_PROTOCOL", "TCP_MAXSEG", "IP_MTU",
    "IPV6_MTU", "SO_SNDBUF", "TCP_CONGESTION", "TCP_WINDOW_CLAMP", "TCP_CC_INFO",
))  # fmt: skip


def measured(make: Callable[[int], World]) -> Summary:
    """What the sockets of worlds answer; `make` gives one for an address family."""
    found: Summary = {}
    for family, family_name in FAMILIES.items():
        for kind, kind_name in KINDS.items():
            for name in OPTIONS:
                if not trial.applies(name, family, kind):
                    continue
                world = make(family)
                try:
                    line = one_line(name, trial.answers(world, name, kind))
                finally:
                    world.close()
                found.setdefault(name, {})[f"{kind_name}/{family_name}"] = line
    return found


def one_line(name: str, answers: trial.Answers) -> str:
    """The answers about one option of one kind of socket."""
    short_answers = {}
    for asked, said in answers.items():
        short = said.replace("taken -> ", "->").replace("taken", "->")
        if name in OWN_NUMBERS:
            short = re.sub(r"[ix][-0-9a-f]+|\d+ octets", "#", short)
        short_answers[asked] = short
    parts = []
    for asked, short in short_answers.items():
        state, what = asked.split(": ", 1)
        if state != "fresh" and short_answers.get(f"fresh: {what}") == short:
            continue
        value = what.removeprefix("set ")
        parts.append(f"{'' if state == 'fresh' else state + ' '}{value} {short}")
    return "; ".join(parts)


def stored() -> Summary:
    """What Linux answered when `python -m tests.sockets.options --measure` ran last."""
    found: Summary = {}
    for line in STORED.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            continue
        name, kinds, rest = line.split(" ", 2)
        for kind in kinds.split(","):
            found.setdefault(name, {})[kind] = rest
    return found


def as_text(summary: Summary) -> str:
    """As `stored` reads it: kinds of sockets with the same answers share a line."""
    lines = []
    for name, kinds in summary.items():
        by_line: dict[str, list[str]] = {}
        for kind, line in kinds.items():
            by_line.setdefault(line, []).append(kind)
        lines += [f"{name} {','.join(same)} {line}" for line, same in by_line.items()]
    return "\n".join(lines) + "\n"

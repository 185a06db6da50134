"""`pystack doctor`: what a stack needs, looked at one by one, with what to do where it fails."""

from __future__ import annotations

import asyncio
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Final

import click

from pystack.cli.calling.device_options import DeviceOptions, address_options
from pystack.cli.calling.examples import Example, WithExamples
from pystack.cli.calling.until_stopped import say
from pystack.cli.terminal import colours
from pystack.cli.terminal.width import columns
from pystack.device.probe import Check, run_checks

_COLUMNS: Final = 100
_LEAST: Final = 40
_TOOLS: Final = {"curl": "curl", "nc": "netcat-openbsd", "ip": "iproute2"}


@click.command(
    cls=WithExamples,
    short_help="Check what the other commands need.",
    examples=(Example("doctor"), Example("doctor --netns blue --addr 10.9.0.2/24")),
)
@address_options
def doctor(options: DeviceOptions) -> None:
    """Check /dev/net/tun, rights, kernel features, the compiled module and address clashes.

    Each failure says what to do. Exit status 1 when something is missing that nothing works
    without, else 0.
    """
    checks = asyncio.run(run_checks(options.addresses(), options.netns))
    checks += [_tool(name, package) for name, package in _TOOLS.items()]
    palette = colours.Palette(colours.wanted(sys.stdout))
    for line in table(checks, palette, columns(without=_COLUMNS)):
        say(line)
    if any(check.required and not check.ok for check in checks):
        raise SystemExit(1)


def table(
    checks: Iterable[Check], palette: colours.Palette, width_of_all: int = _COLUMNS
) -> list[str]:
    """The findings as lines: sign, name, what was found; below a failure, what to do."""
    checks = list(checks)
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        if check.ok:
            sign = palette.good("ok  ")
        else:
            sign = palette.bad("FAIL") if check.required else palette.state("note")
        room = max(min(width_of_all, _COLUMNS) - 1 - width - 8, _LEAST)
        first, *more = _wrapped(check.detail, room)
        lines.append(f"{sign}  {check.name:<{width}}  {first}")
        lines += [" " * (width + 8) + piece for piece in more]
        if not check.ok and check.remedy:
            for piece in _wrapped(f"-> {check.remedy}", room):
                lines.append(" " * (width + 8) + palette.bold(piece))
    failed = [check.name for check in checks if check.required and not check.ok]
    lines.append("")
    lines.append(f"missing: {', '.join(failed)}" if failed else "pystack can run here")
    return lines


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False) or [""]


def _tool(name: str, package: str) -> Check:
    found = shutil.which(name)
    if found:
        return Check(name, True, found, required=False)
    return Check(name, False, "not installed", f"apt-get install {package}", required=False)

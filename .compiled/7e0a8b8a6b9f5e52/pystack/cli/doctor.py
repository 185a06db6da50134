"""`pystack doctor`: what a stack needs, looked at one by one, with what to do where it fails."""

from __future__ import annotations

import asyncio
import shutil
import sys
import textwrap
from collections.abc import Iterable

import click

from pystack.cli import colours
from pystack.cli.device_options import DeviceOptions, address_options
from pystack.device.probe import Check, run_checks

_TOOLS = {"curl": "curl", "nc": "netcat-openbsd", "ip": "iproute2"}


@click.command(short_help="Check what the other commands need.")
@address_options
def doctor(options: DeviceOptions) -> None:
    """Check /dev/net/tun, rights, kernel features, the compiled module and address clashes.

    Each failure says what to do. Exit status 1 when something is missing that nothing works
    without, else 0.

    \b
    Example:
      pystack doctor
      pystack doctor --netns blue --addr 10.9.0.2/24
    """
    checks = asyncio.run(run_checks(options.addresses(), options.netns))
    checks += [_tool(name, package) for name, package in _TOOLS.items()]
    palette = colours.Palette(colours.wanted(sys.stdout))
    for line in table(checks, palette):
        click.echo(line)
    if any(check.required and not check.ok for check in checks):
        raise SystemExit(1)


def table(checks: Iterable[Check], palette: colours.Palette) -> list[str]:
    """The findings as lines: sign, name, what was found; below a failure, what to do."""
    checks = list(checks)
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        if check.ok:
            sign = palette.good("ok  ")
        else:
            sign = palette.bad("FAIL") if check.required else palette.state("note")
        lines.append(f"{sign}  {check.name:<{width}}  {check.detail}")
        if not check.ok and check.remedy:
            room = max(99 - width - 8, 40)
            for piece in textwrap.wrap(f"-> {check.remedy}", room, break_on_hyphens=False):
                lines.append(" " * (width + 8) + palette.bold(piece))
    failed = [check.name for check in checks if check.required and not check.ok]
    lines.append("")
    lines.append(f"missing: {', '.join(failed)}" if failed else "pystack can run here")
    return lines


def _tool(name: str, package: str) -> Check:
    found = shutil.which(name)
    if found:
        return Check(name, True, found, required=False)
    return Check(name, False, "not installed", f"apt-get install {package}", required=False)

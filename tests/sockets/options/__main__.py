"""`python -m tests.sockets.options`: writes docs/evidence/options.md; with --measure asks the
kernel anew before, with --differences prints how our answers differ."""

from __future__ import annotations

import sys

from tests.live.namespace import Namespace, missing_rights
from tests.sockets.options import answers, page
from tests.sockets.world import KernelWorld, OurWorld

_FIRST_LINE = (
    "# What the sockets of Linux 6.18 answer to root: `python -m tests.sockets.options --measure`\n"
)


def _measure() -> None:
    if reason := missing_rights():
        sys.exit(f"options: {reason}")
    with Namespace() as namespace:
        found = answers.measured(lambda family: KernelWorld(family, namespace))
    answers.STORED.write_text(_FIRST_LINE + answers.as_text(found), encoding="utf-8")


def main() -> None:
    """See the module."""
    if "--measure" in sys.argv:
        _measure()
    ours, linux = answers.measured(OurWorld), answers.stored()
    if "--differences" in sys.argv:
        for name, kinds in linux.items():
            for kind, line in kinds.items():
                if ours[name][kind] != line:
                    print(f"{name} {kind}\n  Linux {line}\n  ours  {ours[name][kind]}")
        return
    page.PAGE.write_text(page.text(ours, linux), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Entry point of the `pystack` command."""

from __future__ import annotations

import sys
from typing import Final

_EXTRA: Final = ("click", "aiohttp")


def main() -> int:
    """Run the command with the arguments of the process; its exit status is returned."""
    try:
        from pystack.cli.commands import pystack
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        print(
            f"pystack: {error.name} is not installed: pip install 'pystack-tcp[cli]'",
            file=sys.stderr,
        )
        return 2
    return int(pystack(prog_name="pystack") or 0)


if __name__ == "__main__":
    sys.exit(main())

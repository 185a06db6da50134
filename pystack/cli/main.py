"""Entry point of the `pystack` command.

From its first line on Ctrl-C has one line and status 130, also while the rest is imported. What
is imported here is therefore what any Python has imported before.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command with the arguments of the process; its exit status is returned."""
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # neither ignored
            signal.signal(signal.SIGINT, _interrupted)  # commands that hold something have another
        return _run()
    except KeyboardInterrupt:
        _interrupted()
        raise


def _run() -> int:
    _open_standard_streams()
    try:
        from pystack import invocation
        from pystack.cli.commands import pystack
    except ModuleNotFoundError as error:
        if error.name not in ("click", "aiohttp"):  # those of the extra
            raise
        print(
            f"pystack: {error.name} is not installed: run scripts/setup in a clone of pystack, or "
            "`pip install '.[cli]'` there",
            file=sys.stderr,
        )
        return 2
    called = invocation.command()
    os.environ.pop("PYSTACK_CALLED_AS", None)  # what this command starts was called otherwise
    return int(pystack(prog_name=called, complete_var="_PYSTACK_COMPLETE") or 0)


def _interrupted(*_: object) -> None:
    """End at once: nothing is held that outlives the process, not even a TUN device."""
    try:
        os.write(2, b"pystack: interrupted\n")
    finally:
        os._exit(130)  # as a shell has SIGINT


def _open_standard_streams() -> None:
    """Where one of the three is closed, nothing: else what is opened next gets its number, and
    what is written to stdout goes there."""
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the other way round: to read or to write is an error


if __name__ == "__main__":
    sys.exit(main())

"""How the programs behind the scripts end: as the `pystack` command does.

Ctrl-C has one line and status 130, from the first line of `run` on; a result that cannot be
written, to stdout or to a file, has one line and status 2. When whoever read stdout has left
(`| head`), a program ends without a word and with status 141. What a program holds is put away
meanwhile; `with` and `finally` see to it.

What is imported here is what any Python has imported before; the rest comes while Ctrl-C has its
line already.
"""

from __future__ import annotations

import os


def run(name: str, module: str, attribute: str = "main") -> int:
    """Import a program and run it with the arguments of this process; its exit status.

    `attribute` of `module` is a click command, or a function that returns the status. Messages
    begin with `name`.
    """

    def at_once(*_: object) -> None:
        """Nothing is held yet, or any more."""
        try:
            os.write(2, f"{name}: interrupted\n".encode())
        finally:
            os._exit(130)  # as a shell has SIGINT

    try:
        import signal

        is_caught = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not with nohup
        if is_caught:
            signal.signal(signal.SIGINT, at_once)
        from importlib import import_module

        from scripts.programs.until_ended import status_of

        program = getattr(import_module(module), attribute)
        status = status_of(name, program)
        if is_caught:
            signal.signal(signal.SIGINT, at_once)
        return status
    except KeyboardInterrupt:
        at_once()
        raise

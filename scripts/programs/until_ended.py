"""A program's work, and what its end becomes: a line at most, and a status. See `ending`."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

import click

from pystack.cli.calling.failures import sentence
from pystack.cli.terminal.output import to_stdout, warn

USED_WRONGLY: Final = 2
NOBODY_READS: Final = 128 + signal.SIGPIPE


class Ended(KeyboardInterrupt):
    """A signal has ended the program: Ctrl-C, or what `kill` and a closed terminal send."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        self.words = "interrupted" if number == signal.SIGINT else f"ended by {self}"


class _Stdout(io.FileIO):
    """Our stdout; `lost` is why nothing can be written there any more. That goes nowhere then."""

    lost: OSError | None = None

    def write(self, data: Any) -> int | None:
        try:
            with to_stdout():
                return super().write(data)
        except OSError as error:
            self.lost = error
            raise


def status_of(name: str, program: click.Command | Callable[[], int | None]) -> int:
    """Run a program to its end; its exit status. Its one line is written, if it has failed."""
    out = _Stdout(1, "w", closefd=False)
    status = 0
    with _signals(), _as_stdout(out):
        try:
            try:
                status = _run(name, program)
            except SystemExit as end:  # rich makes one of a broken pipe
                status = _code(end)
            if sys.stdout is not None:
                sys.stdout.flush()
        except Ended as ended:
            warn(f"{name}: {ended.words}")
            return ended.status
        except OSError as error:
            if out.lost is None:
                warn(f"{name}: {sentence(error)}")
                return USED_WRONGLY
        if out.lost is None:
            return status
        if isinstance(out.lost, BrokenPipeError):
            return NOBODY_READS
        warn(f"{name}: {sentence(out.lost)}")
        return USED_WRONGLY


def _run(name: str, program: click.Command | Callable[[], int | None]) -> int:
    if not isinstance(program, click.Command):
        return program() or 0
    try:
        with program.make_context(f"scripts/{name}", sys.argv[1:]) as ctx:
            program.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        warn(f"{name}: {error.format_message().rstrip('.')}; see `scripts/{name} --help`")
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0


def _code(end: SystemExit) -> int:
    if isinstance(end.code, str):
        warn(end.code)
        return 1
    return end.code or 0


@contextmanager
def _as_stdout(out: _Stdout) -> Iterator[None]:
    before = sys.stdout
    if before is None:  # closed; the scripts open it
        yield
        return
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(out), before.encoding, before.errors,
        line_buffering=before.line_buffering, write_through=before.write_through,
    )  # fmt: skip
    try:
        yield
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        sys.stdout = before


@contextmanager
def _signals() -> Iterator[None]:
    """Meanwhile the first of these signals ends the program, and others do nothing: `timeout` and
    many a terminal send two, and the second would end what puts things away."""

    def end(number: int, frame: FrameType | None) -> None:
        for other in heard:
            signal.signal(other, _nothing)
        raise Ended(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, _nothing if number == signal.SIGINT else signal.SIG_DFL)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass

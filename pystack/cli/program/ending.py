"""How a program under `pystack run` ends: as Python ends, or because it cannot go on.

What cannot go on is told in one line, and the status is 2: a server that runs no event loop, and
one that is served from a second process.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn

from pystack.aio.endpoint.stack import Stack
from pystack.aio.loop.os_calls import EXECS, FORKS, wrapped
from pystack.aio.loop.ownership import Ownership
from pystack.cli.program.interpreter import COMMAND
from pystack.cli.terminal.output import warn

_INTERRUPTED: Final = 130  # as a shell has it
_CANNOT: Final = 2
_AGAIN: Final = 1.0  # seconds for a program to end after it was told to, until it is told again
_TIMES: Final = 20
# no program uses it, and to raise from its handler ends what blocks in the main thread
_SIGNAL: Final = getattr(signal, "SIGRTMAX", 0)
_OUR_FRAMES: Final = (
    __file__, runpy.__file__, "<frozen runpy>", f"{os.path.dirname(__file__)}/words.py"
)  # fmt: skip
_NO_PACKET: Final = (
    "no packet went through the stack: the program sent nothing there and nobody came, or it used "
    "the kernel, as libraries in C (grpc, gevent, libpq) and other processes do"
)


class Ending:
    """Ends a program from another thread or process than its main one. `cannot` is whether it was
    so ended, `is_over` whether the program has come to its end.

    SIGTERM for a program that has forked ends its children, too. One that cannot go on forks no
    more: SystemExit is raised instead.
    """

    def __init__(self, ownership: Ownership) -> None:
        self.cannot = False
        self.is_over = False
        self.is_waiting = False  # for the program's threads; its own code is over
        self._is_forking = False
        self._insists = False
        self._ownership = ownership
        signal.signal(_SIGNAL, self._on_signal)
        if sys.platform != "win32":  # where `pystack run` does not run
            os.register_at_fork(after_in_parent=self._after_fork)

    def end(self, sentence: str) -> None:
        """Tell why, and end the program with status 2, its children too."""
        if not self._ownership.tells_first():
            return
        warn(f"{COMMAND}: {sentence}")
        first = self._ownership.first_pid
        if self._ownership.first_lives():
            os.kill(first, _SIGNAL)
        self.end_children()

    def end_children(self) -> None:
        """SIGTERM for all of them."""
        for pid in self._ownership.children():
            if pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    @contextmanager
    def forks_followed(self) -> Iterator[None]:
        """Meanwhile `os.fork` raises SystemExit in a program that cannot go on."""
        with wrapped(FORKS, self._following):
            yield

    def _following(self, fork: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            self._end_if_told()
            self._is_forking = True
            try:
                child = fork()
            finally:
                self._is_forking = False
            self._end_if_told()
            return child

        return call

    def _after_fork(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and self._ownership.is_first and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, _: object) -> None:
        if self._ownership.is_first:
            self.end_children()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def _on_signal(self, *_: object) -> None:
        if self.is_over or not self._ownership.is_first:
            return
        self.cannot = True
        if self.is_waiting:
            exit_now()
        if not self._is_forking:  # Python would drop what is raised in a hook of a fork
            self._end_if_told()

    def _end_if_told(self) -> None:
        if self.cannot and self._ownership.is_first:
            if not self._insists:
                self._insists = True
                threading.Thread(target=self._insist, daemon=True).start()
            raise SystemExit(_CANNOT)

    def _insist(self) -> None:
        """Again, as long as the program goes on: it has caught SystemExit, or Python has, in a
        destructor."""
        for _ in range(_TIMES):
            time.sleep(_AGAIN)
            if self.is_over:
                return
            os.kill(os.getpid(), _SIGNAL)
            self.end_children()
        os._exit(_CANNOT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Meanwhile Ctrl-C raises KeyboardInterrupt, as any program of Python's has it."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def exec_told(ownership: Ownership) -> Iterator[None]:
    """Meanwhile a program that replaces itself by another one is told what that has not."""

    def telling(execute: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def call(path: Any, *args: Any, **options: Any) -> NoReturn:
            if ownership.is_first:
                name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else path
                warn(f"{COMMAND}: the program becomes {name}, which knows nothing of the stack")
            execute(path, *args, **options)

        return call

    with wrapped(EXECS, telling):
        yield


def run(start: Callable[[], Any], ending: Ending) -> None:
    """Run it, and end as Python would with it alone: threads are waited for, then what `atexit`
    has is called. Raises SystemExit with the status."""
    try:
        status = _status_of(start)
    finally:
        if not ending.cannot:
            ending.is_waiting = True
            _end_as_python()
        ending.is_over = True
    if status is not None:
        raise SystemExit(status)


def _status_of(start: Callable[[], Any]) -> Any:
    try:
        return start()  # of a command that pip has made: its exit status
    except SystemExit:
        raise
    except BaseException as error:  # also groups, and asyncio.CancelledError
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in _OUR_FRAMES:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _end_as_python() -> None:
    """As `Py_FinalizeEx` begins: the program's threads and hooks still have the stack."""
    shutdown: Callable[[], None] = threading._shutdown  # type: ignore[attr-defined]
    with suppress(KeyboardInterrupt):
        shutdown()
    atexit._run_exitfuncs()


def tell_if_unused(stack: Stack, ownership: Ownership) -> None:
    """One line when no packet went through the stack, so that nobody draws a wrong conclusion."""
    counters = stack.host.counters
    taken = counters.in_segs + counters.udp_in_datagrams + counters.icmp_in
    if not counters.out_packets + taken and not ownership.has_moved():
        if ownership.is_first and not ownership.children():
            _flush()
            warn(f"{COMMAND}: {_NO_PACKET}")


def exit_now() -> NoReturn:
    """With status 2, whatever threads the program has left."""
    _flush()
    os._exit(_CANNOT)


def _flush() -> None:
    """Have what the program said stand before what we say."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()

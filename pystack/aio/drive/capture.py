"""A driver's packets written to a file, for as long as that can be written to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from errno import EINVAL

from pystack.errors import SetupError
from pystack.path.pcap import INBOUND, OUTBOUND, Capture
from pystack.wire.batch import Packet


class CaptureFile:
    """A tap for `DeviceDriver`: captures both directions to a file that it opens.

    A disk that is full ends the capture, not the stack: the loop's exception handler is told
    once, in one line, and `error` is why.
    """

    error: OSError | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        interface: str,
        clock: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Raises SetupError when the file cannot be opened or written to."""
        self._path = os.fspath(path)
        self._loop = loop
        try:
            self._file = open(path, "wb")  # noqa: SIM115
            try:
                offset_us = time.time_ns() // 1000 - clock()
                self._capture = Capture(self._file, wall_offset_us=offset_us, interface=interface)
                self._file.flush()
            except OSError:
                with contextlib.suppress(OSError):  # what is still in memory is lost again
                    self._file.close()
                raise
        except OSError as error:
            problem = f"no capture to {self._path} ({error.strerror})"
            raise SetupError(error.errno or EINVAL, problem, "give a file to write to") from None

    def __call__(self, inbound: bool, packets: Iterable[Packet], now_us: int) -> None:
        if self._file.closed:
            return
        try:
            self._capture.write(packets, now_us, INBOUND if inbound else OUTBOUND)
        except OSError as error:
            self._report(error)
            self.close()

    def close(self) -> None:
        """Write out what is still in memory, and close the file."""
        try:
            self._file.close()
        except OSError as error:
            self._report(error)

    def _report(self, error: OSError) -> None:
        if self.error is not None:
            return
        self.error = error
        message = f"the capture to {self._path} has ended early: {error.strerror}"
        self._loop.call_exception_handler({"message": message})  # no traceback: nobody's mistake

"""A run of pytest by one of our programs, its output being ours."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 60.0  # s, for it to put away what its tests hold


def run_pytest(words: Sequence[str], *, quiet: bool = False) -> None:
    """Run pytest to its end, whatever that is; `quiet` is without its stdout.

    When we are ended it gets one SIGINT, and the time to put things away: it is in a session of its
    own, for it takes a second one as a reason not to. Its output goes through us: nothing is shown
    of how it is ended, and that our stdout cannot be written is for us to say.
    """
    argv = [sys.executable, "-m", "pytest", "-q", *words]
    environment = dict(os.environ)
    if sys.stdout.isatty():
        argv.insert(3, "--color=yes")
        environment["COLUMNS"] = str(shutil.get_terminal_size().columns)
    process = subprocess.Popen(
        argv, cwd=ROOT, env=environment, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        _pass_on(process)
        process.wait()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _pass_on(process: subprocess.Popen[bytes]) -> None:
    """Write what it writes, until it has closed both."""
    with selectors.DefaultSelector() as selector:
        for source, target in (process.stdout, sys.stdout), (process.stderr, sys.stderr):
            if source is not None:
                selector.register(source, selectors.EVENT_READ, target.buffer)
        while selector.get_map():
            for key, _ in selector.select():
                octets = os.read(key.fd, 65536)
                if octets:
                    key.data.write(octets)
                    key.data.flush()
                else:
                    selector.unregister(key.fileobj)

"""The tests' own namespaces leave nothing behind, however the test ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

TEST = """
import os, time
from tests.live.namespace import Namespace
with Namespace() as namespace:
    sleeper = namespace.popen(["sleep", "1000"])
    print(namespace.pid, sleeper.pid, flush=True)
    time.sleep(1000)
"""


def ends(pid: int) -> bool:
    """Whether a process ends within some seconds; it is none of our children."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_a_namespace_ends_with_its_block(namespace: Namespace) -> None:
    with Namespace() as inner:
        sleeper = inner.popen(["sleep", "1000"])
        assert os.readlink(inner.path) != os.readlink(namespace.path)
        assert inner.links() == {"lo"}
    assert sleeper.returncode == -signal.SIGKILL
    assert ends(inner.pid)


def test_a_namespace_ends_with_a_test_that_is_killed(kernel_rights: None) -> None:
    test = subprocess.Popen([sys.executable, "-c", TEST], stdout=subprocess.PIPE, text=True)
    assert test.stdout is not None
    holder, sleeper = map(int, test.stdout.readline().split())
    test.kill()
    test.communicate()
    assert ends(holder)
    assert ends(sleeper)

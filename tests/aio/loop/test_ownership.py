"""One process of a program has its stack, whatever it forks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from pystack.aio.loop.ownership import Ownership


@pytest.fixture
def ownership() -> Iterator[Ownership]:
    made = Ownership()
    yield made
    made.close()


def in_child(ownership: Ownership, body: Callable[[], bool], may_take: bool = True) -> bool:
    """What `body` gives in a forked child."""
    pid = os.fork()
    if not pid:
        status = 2
        try:
            ownership.begin_child(may_take)
            status = int(not body())
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def test_a_child_may_have_what_its_parent_does_not_use(ownership: Ownership) -> None:
    assert in_child(ownership, ownership.take)
    assert ownership.has_moved()
    assert ownership.user() == 0  # it has ended
    assert ownership.take()


def test_a_child_cannot_have_what_its_parent_uses(ownership: Ownership) -> None:
    assert ownership.take()
    assert in_child(ownership, lambda: not ownership.take() and ownership.user() == os.getppid())
    ownership.give()
    assert in_child(ownership, ownership.take)


def test_a_child_of_a_fork_in_use_can_never_have_it(ownership: Ownership) -> None:
    assert in_child(ownership, lambda: not ownership.take(), may_take=False)


def test_who_refuses_leaves_the_device_when_a_child_wants_it(ownership: Ownership) -> None:
    assert ownership.read_device()
    wants, wanted = os.pipe()
    goes, go = os.pipe()
    pid = os.fork()
    if not pid:
        ownership.begin_child(True)
        os.write(wanted, b"1" if ownership.take() else b"0")
        os.read(goes, 1)
        os._exit(0)
    while not ownership.user():
        pass
    while True:
        try:
            os.eventfd_read(ownership.wanted_fd)
            break
        except BlockingIOError:
            continue
    assert not ownership.read_device()
    ownership.leave_device()
    assert os.read(wants, 1) == b"1"
    assert ownership.children() == [pid]
    os.write(go, b"1")
    os.waitpid(pid, 0)
    assert ownership.children() == []
    assert ownership.read_device()
    for descriptor in (wants, wanted, goes, go):
        os.close(descriptor)


def test_one_process_tells_why_all_end(ownership: Ownership) -> None:
    assert in_child(ownership, ownership.tells_first)
    assert not ownership.tells_first()
    assert in_child(ownership, lambda: ownership.first_lives() and not ownership.is_first)

"""Fixtures of the tests that need the kernel: a network namespace, or a skip with the reason."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.live.namespace import Namespace, missing_rights
from tests.live.over_tun import OverTun


@pytest.fixture(scope="session")
def kernel_rights() -> None:
    """Skips what asks for it where namespaces and TUN devices cannot be made."""
    if reason := missing_rights():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def own_mounts(kernel_rights: None) -> None:
    """Skips what asks for it where no file system can be mounted for one process alone."""
    _skip_without("--mount")


@pytest.fixture(scope="session")
def user_namespaces(kernel_rights: None) -> None:
    """Skips what asks for it where nobody becomes root in a namespace of his own."""
    _skip_without("--user", "--map-root-user")


def _skip_without(*options: str) -> None:
    done = subprocess.run(["unshare", *options, "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"in a chroot, or forbidden: {done.stderr.strip()}")


@pytest.fixture
def namespace(kernel_rights: None) -> Iterator[Namespace]:
    """A network namespace of the test's own."""
    with Namespace() as made:
        yield made


@pytest.fixture(
    params=[(4, True), (6, True), (4, False), (6, False)],
    ids=["IPv4-offload", "IPv6-offload", "IPv4-plain", "IPv6-plain"],
)
def tun(request: pytest.FixtureRequest, namespace: Namespace) -> OverTun:
    """A stack to be made: IPv4 and IPv6, with offload and without."""
    return OverTun(*request.param, namespace)


@pytest.fixture
def any_tun(namespace: Namespace) -> OverTun:
    """For what has nothing to do with IP versions and offload."""
    return OverTun(4, True, namespace)

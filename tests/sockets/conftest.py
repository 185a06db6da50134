"""`world`: a test that asks for it runs on our sockets and, where there are rights, on Linux's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pystack.sockets.constants import AF_INET, AF_INET6
from tests.live.namespace import Namespace, missing_rights
from tests.sockets.world import OurWorld, World, kernel_world, worlds

OLDEST = (6, 6)  # what is expected was measured on 6.18; some answers of old kernels were others


@pytest.fixture(scope="session")
def kernel_namespace() -> Iterator[Namespace]:
    """One namespace for all kernel worlds; each test closes its sockets."""
    if reason := missing_rights():
        pytest.skip(reason)
    if tuple(map(int, os.uname().release.split(".")[:2])) < OLDEST:
        pytest.skip(f"the kernel is older than {OLDEST[0]}.{OLDEST[1]}")
    with Namespace() as namespace:
        yield namespace


@pytest.fixture(params=worlds(AF_INET, AF_INET6))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Both address families, on our hosts and on the kernel; IPV4_ONLY, IPV6_ONLY choose one."""
    family, is_kernel = request.param
    if not is_kernel:
        yield OurWorld(family)
        return
    kernel = kernel_world(family, request.getfixturevalue("kernel_namespace"))
    yield kernel
    kernel.close()


@pytest.fixture(params=[AF_INET, AF_INET6], ids=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> int:
    """For tests of what only our side shows."""
    number: int = request.param
    return number

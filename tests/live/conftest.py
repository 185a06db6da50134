"""Fixtures of the tests that need the kernel: a network namespace, or a skip with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.namespace import Namespace, missing_rights


@pytest.fixture(scope="session")
def kernel_rights() -> None:
    """Skips what asks for it where namespaces and TUN devices cannot be made."""
    if reason := missing_rights():
        pytest.skip(reason)


@pytest.fixture
def namespace(kernel_rights: None) -> Iterator[Namespace]:
    """A network namespace of the test's own."""
    with Namespace() as made:
        yield made

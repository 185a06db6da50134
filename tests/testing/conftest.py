"""Runs of pytest within a test, with the plugin."""

from __future__ import annotations

import pytest

from tests.testing.inner_pytest import Inner


@pytest.fixture
def inner(pytester: pytest.Pytester) -> Inner:
    return Inner(pytester)

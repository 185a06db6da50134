"""Every test that takes `codec` runs with the C module and with its Python twins."""

from __future__ import annotations

import pytest

from tests.wire.codecs import CODECS, Codec


@pytest.fixture(params=CODECS, ids=[codec.name for codec in CODECS])
def codec(request: pytest.FixtureRequest) -> Codec:
    found: Codec = request.param
    return found

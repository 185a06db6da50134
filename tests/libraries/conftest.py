"""`link`: the fixture of all tests of libraries. Each runs for the columns that its marks name."""

from __future__ import annotations

import pytest

from tests.libraries.certificates import Certificates
from tests.libraries.link import NAME, OURS, THEIRS, Link
from tests.libraries.table.cells import columns_of
from tests.live.conftest import kernel_rights, namespace
from tests.live.namespace import Namespace

__all__ = ["kernel_rights", "namespace"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "link" in metafunc.fixturenames:
        columns = columns_of(list(metafunc.definition.iter_markers()))
        ids = [column.replace(" ", "-") for column in columns]
        metafunc.parametrize("link", columns, ids=ids, indirect=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Good for both sides' addresses."""
    folder = tmp_path_factory.mktemp("certificates")
    return Certificates(folder, *OURS.values(), *THEIRS.values(), NAME, "localhost")


@pytest.fixture
def link(
    request: pytest.FixtureRequest, namespace: Namespace, certificates: Certificates
) -> Link:
    """A stack and the kernel, for one column of docs/evidence/libraries.md."""
    protocol, security = request.param.split()
    return Link(
        namespace, certificates, int(protocol[-1]), security == "TLS",
        request.config.getoption("--kernel"),
    )  # fmt: skip

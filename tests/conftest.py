"""Fixtures and hooks for all tests: the exact-segment kit, and the conformance results."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests import surroundings
from tests.conformance.plugin import ConformancePlugin
from tests.kit.variants import VARIANTS, Variant, chosen
from tests.libraries.table import cells

if TYPE_CHECKING:
    from tests.kit.tcp import Tcp

surroundings.settle()

# How long an example takes says nothing on a busy machine. The build machine tries the same ones
# each time, but where it is given a seed; whoever works on the code tries new ones.
settings.register_profile(
    "pystack", deadline=None, suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in surroundings.as_found,
)  # fmt: skip
settings.register_profile("seeded", settings.get_profile("pystack"), derandomize=False)
settings.load_profile("pystack")

MARKERS = (
    "deviation(*ids): shows what we do where a requirement is not followed, or not to the letter",
    "variants(*names): run with these variants of the kit only (see tests/kit/variants.py)",
    "host(mtu=…, gso=…, sysctl names=…): how the `tcp` fixture makes its host",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--conformance-json",
        type=Path,
        metavar="FILE",
        help="write which requirement each test names, and its result, to FILE",
    )
    parser.addoption(
        "--cells-json",
        type=Path,
        metavar="FILE",
        help="write the rows of docs/evidence/libraries.md that tests try, and results, to FILE",
    )
    parser.addoption(
        "--all-variants",
        action="store_true",
        help="play every script with every address family, ISS and offload setting",
    )
    parser.addoption(
        "--kernel",
        action="store_true",
        help="play the scripts against Linux in real time, libraries on its sockets (as root)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS + cells.MARKERS:
        config.addinivalue_line("markers", marker)
    if config.getoption("--hypothesis-seed") is not None:
        settings.load_profile("seeded")
    path = config.getoption("--conformance-json")
    if path is not None:
        config.pluginmanager.register(ConformancePlugin(path.absolute()))
    path = config.getoption("--cells-json")
    if path is not None:
        config.pluginmanager.register(cells.CellsPlugin(path.absolute()))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Before any file of tests is read; pytest's reports are set up by then, as its user has it."""
    meanwhile = ExitStack()
    meanwhile.enter_context(surroundings.settled_environment())
    session.config.add_cleanup(meanwhile.close)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variant" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("variants")
        names = chosen(marker.args if marker else (), metafunc.config.getoption("--all-variants"))
        if metafunc.config.getoption("--kernel"):
            names = [name for name in names if name in ("ipv4", "ipv6")] or names[:1]
        metafunc.parametrize("variant", [VARIANTS[name] for name in names], ids=names)


@pytest.fixture
def tcp(variant: Variant, request: pytest.FixtureRequest) -> Iterator[Tcp]:
    """A host at `tcp.local`, driven by scripts; the script is the peer at `tcp.remote`."""
    from tests.kit.tcp import Tcp

    settings: dict[str, object] = {}
    for marker in reversed(list(request.node.iter_markers("host"))):
        settings.update(marker.kwargs)
    if request.config.getoption("--kernel"):
        from tests.kit.kernel import KernelTcp

        linux = KernelTcp(variant, settings)
        yield linux
        linux.close()
        return
    kit = Tcp(variant, settings)
    yield kit
    if not request.node.stash.get(FAILED, False):
        kit.finish()


@pytest.fixture(autouse=True)
def nothing_registered_stays() -> Iterator[None]:
    """A name that a test registers is known during that test only: others loop over all names, or
    use the same ones. Those of whole files, registered when they were read, stay."""
    from pystack.cc import registry
    from pystack.parts import variants

    tables: list[dict[str, Any]] = [registry._factories, *variants._factories.values()]
    before = [dict(table) for table in tables]
    yield
    for table, known in zip(tables, before, strict=True):
        if table != known:
            table.clear()
            table.update(known)
            variants._shared.clear()


@contextmanager
def skipped_without_its_tools() -> Iterator[None]:
    """A test that runs a command which is not on this machine is skipped."""
    try:
        yield
    except FileNotFoundError as error:
        name = str(error.filename)
        if "/" in name or shutil.which(name) is not None:
            raise
        pytest.skip(f"{name} is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with skipped_without_its_tools():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with skipped_without_its_tools():
        return (yield)


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that has failed is not blamed for unclaimed segments as well."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report

"""The pytest plugin: tests of asyncio programs over a bad network, in virtual time.

    @pytest.mark.network(rtt="40ms", loss=0.01)
    async def test_an_upload(network): ...

docs/testing.md has all of it. pytest loads this file by its entry point; nothing else imports it.
It is loaded with every run of pytest where pystack is installed, so it imports what it needs when
a test has a network. PYTEST_DONT_REWRITE: there are no asserts in it, and options may name it.
"""

from __future__ import annotations

import inspect
import os
import re
import unittest
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from pystack.sim.world import World
    from pystack.testing.bench import Bench
    from pystack.testing.network import Network
    from pystack.testing.network_plan import NetworkPlan

MARK: Final = "network"
BENCH: Final = "_pystack_bench"  # the fixture that whoever uses a network depends on
RANDOM: Final = "random"
_MARK_HELP: Final = (
    'network(impair="netem\'s words", *, rtt, delay, jitter, loss, reorder, duplicate, corrupt, '
    "rate, limit, queue, mtu, ipv6, sysctl, cc, seed, time, timeout, leaks): the network of this "
    "test (pystack, docs/testing.md)"
)

_plans: Final[pytest.StashKey[NetworkPlan]] = pytest.StashKey()
_benches: Final[pytest.StashKey[Bench]] = pytest.StashKey()
_passed: Final[pytest.StashKey[bool]] = pytest.StashKey()
_told: Final[pytest.StashKey[str]] = pytest.StashKey()  # of a bench that is gone


class NetworkLeakWarning(pytest.PytestWarning):
    """A test has left connections or tasks open."""


# -- options -------------------------------------------------------------------------------------
def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pystack", "networks of pystack")
    group.addoption(
        "--network-seed",
        metavar="SEED",
        help="what decides the chances of networks whose mark names no seed; "
        "random takes a new one, which the report tells",
    )
    group.addoption(
        "--network-pcap",
        metavar="DIR",
        type=Path,
        help="write what passes at the client of each network to a pcapng file in DIR",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK_HELP)
    if config.option.network_seed == RANDOM:  # here, as the workers of xdist are told of options
        config.option.network_seed = str(int.from_bytes(os.urandom(4), "big"))


def pytest_report_header(config: pytest.Config) -> list[str]:
    seed = config.option.network_seed
    return [] if seed is None else [f"pystack: --network-seed={seed}"]


# -- which tests, and on what --------------------------------------------------------------------
def _plan(node: pytest.Item) -> NetworkPlan:
    """What the marks of a test mean. Raises ValueError, and OSError for a file that they name."""
    from pystack.testing.network_plan import merged, plan

    marks = list(node.iter_markers(MARK))
    callspec = getattr(node, "callspec", None)
    closest = [mark for mark in getattr(callspec, "marks", ()) if mark.name == MARK]
    ordered = closest + [mark for mark in marks if mark not in closest]
    return plan(merged((mark.args, mark.kwargs) for mark in ordered))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test whose mark has several seeds runs once with each."""
    if "network_seed" not in metafunc.fixturenames:
        return
    try:
        seeds = _plan(metafunc.definition).seeds
    except (ValueError, OSError):
        return  # told when the test has been collected
    if len(seeds) > 1:
        ids = [f"seed{seed}" for seed in seeds]
        metafunc.parametrize("network_seed", seeds, indirect=True, ids=ids)


@pytest.hookimpl(trylast=True)  # other plugins have made their items, and left some out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for index, item in enumerate(items):
        if not isinstance(item, pytest.Function) or _of_unittest(item):
            continue
        is_coroutine = inspect.iscoroutinefunction(item.obj)
        # others may have a mark of that name too, and mean the internet
        said = is_coroutine and any(mark.args or mark.kwargs for mark in item.iter_markers(MARK))
        if BENCH not in item.fixturenames and not said:
            continue
        found = item.stash[_plans] = _checked_plan(item)
        if is_coroutine:
            items[index] = NetworkFunction.of(item, found)


def _of_unittest(item: pytest.Function) -> bool:
    return item.cls is not None and issubclass(item.cls, unittest.TestCase)


def _checked_plan(item: pytest.Function) -> NetworkPlan:
    """The network of a test. Raises UsageError, naming the test, when it can't be had."""
    try:
        found = _plan(item)
        if len(found.seeds) > 1 and "network_seed" not in _params(item):
            raise ValueError(
                "several seeds stand in the mark of a test that names network as an argument"
            )
        if found.real and "world" in item.fixturenames:
            raise ValueError("a world is in virtual time")
    except (ValueError, OSError) as error:
        raise pytest.UsageError(f"{item.nodeid}: pytest.mark.{MARK}: {error}") from None
    return found


def _params(item: pytest.Function) -> dict[str, Any]:
    params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return params


class NetworkFunction(pytest.Function):
    """A coroutine function as a test on a network's own loop, whatever other plugins do."""

    @classmethod
    def of(cls, item: pytest.Function, found: NetworkPlan) -> NetworkFunction:
        """In the place of an item that another plugin may have made its own."""
        info = item._fixtureinfo
        if BENCH not in info.names_closure:
            info = replace(info, names_closure=[BENCH, *info.names_closure])
        made: NetworkFunction = cls.from_parent(
            item.parent,
            name=item.name,
            callspec=getattr(item, "callspec", None),
            callobj=item.obj,
            fixtureinfo=info,
            keywords=item.keywords,
            originalname=item.originalname,
        )
        made.own_markers = item.own_markers
        made.stash[_plans] = found
        return made

    def runtest(self) -> None:
        """Run it to its end, within the time that there is."""
        __tracebackhide__ = True
        arguments = {name: self.funcargs[name] for name in self._fixtureinfo.argnames}
        self.stash[_benches].run(self.obj(**arguments), self.name)


# -- fixtures ------------------------------------------------------------------------------------
@pytest.fixture
def network_seed(request: pytest.FixtureRequest) -> int | str:
    """The seed of this test's network, for a program's own chances."""
    from pystack.testing.network_plan import SEED

    if hasattr(request, "param"):
        seed: int | str = request.param
        return seed
    seeds = _plan_of(request).seeds
    if seeds:
        return seeds[0]
    option = request.config.option.network_seed
    if option is None:
        return SEED
    return int(option) if option.isdecimal() else str(option)


def _plan_of(request: pytest.FixtureRequest) -> NetworkPlan:
    item: pytest.Function = request.node
    if _plans in item.stash:
        return item.stash[_plans]
    return _checked_plan(item)  # a fixture that was asked for by getfixturevalue


@pytest.fixture(name=BENCH)
def bench_of_test(request: pytest.FixtureRequest, network_seed: int | str) -> Iterator[Bench]:
    from pystack.testing.bench import RealBench, VirtualBench
    from pystack.testing.network_plan import ALLOW, ERROR

    item = request.node
    found = _plan_of(request)
    made = (RealBench if found.real else VirtualBench)(found, network_seed, pytest.fail.Exception)
    item.stash[_benches] = made
    leaks: list[str] = []
    try:
        if "network" in request.fixturenames or "world" not in request.fixturenames:
            network = made.join()
            folder = request.config.option.network_pcap
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                network.pcap(folder / (re.sub(r"[^\w.=-]+", "_", item.nodeid) + ".pcapng"))
        yield made
        if found.leaks != ALLOW and item.stash.get(_passed, False):
            leaks = made.leaks()
    finally:
        item.stash[_told] = _tell(item)
        del item.stash[_benches]  # pytest keeps its items
        made.close()
    if leaks:
        text = "the test has left open:\n  " + "\n  ".join(leaks)
        if found.leaks == ERROR:
            pytest.fail(text, pytrace=False)
        item.warn(NetworkLeakWarning(text))


@pytest.fixture
def network(_pystack_bench: Bench) -> Network:
    """Two hosts and a link: `network.client`, `network.server`, `network.link`."""
    return _pystack_bench.network or _pystack_bench.join()


@pytest.fixture
def world(_pystack_bench: Bench) -> World:
    """An empty world in virtual time, for networks of one's own (docs/simulation.md)."""
    return _pystack_bench.world


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before plugins that have loops of their own
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Coroutines and asynchronous generators as fixtures of tests that have a network."""
    function = fixturedef.func
    is_generator = inspect.isasyncgenfunction(function)
    ours = fixturedef.scope == "function" and _plans in request.node.stash
    if not ours or not (is_generator or inspect.iscoroutinefunction(function)):
        return (yield)
    bench: Bench = request.getfixturevalue(BENCH)
    instance = request.instance
    if inspect.ismethod(function) and type(function.__self__) is type(instance):
        function = function.__func__.__get__(instance)
    make = _generator_fixture if is_generator else _coroutine_fixture
    changed: Any = fixturedef  # pytest knows no other way to have a function of another kind
    before = changed.func
    changed.func = make(bench, function, str(fixturedef.argname))
    try:
        return (yield)
    finally:
        changed.func = before


def _coroutine_fixture(bench: Bench, function: Callable[..., Any], name: str) -> Any:
    def value(**arguments: Any) -> Any:
        return bench.run(function(**arguments), f"fixture {name}")

    return value


def _generator_fixture(bench: Bench, function: Callable[..., Any], name: str) -> Any:
    def value(**arguments: Any) -> Iterator[Any]:
        generator = function(**arguments)

        async def begin() -> Any:
            return await anext(generator)

        async def end() -> None:
            try:
                await anext(generator)
            except StopAsyncIteration:
                return
            raise ValueError(f"fixture {name} has more than one yield")

        yield bench.run(begin(), f"fixture {name}")
        bench.run(end(), f"end of fixture {name}")

    return value


# -- what a failure tells ------------------------------------------------------------------------
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_passed] = report.passed
    if report.failed:
        told = _tell(item) if _benches in item.stash else item.stash.get(_told, "")
        if told:
            report.sections.append(("network", told))
    return report


def _tell(item: pytest.Item) -> str:
    bench = item.stash[_benches]
    option = item.config.option.network_seed
    if option is None or bench.plan.seeds:
        return bench.told()
    return f"{bench.told()}\nto have it again: --network-seed={option}"

"""The pytest plugin: chance, failures, and other plugins beside it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.surroundings import PATIENCE
from tests.testing.inner_pytest import PLUGIN, Inner

pytest_plugins = ["pytester"]



# -- chance --------------------------------------------------------------------------------------
DIGEST = """
@pytest.mark.network(loss=0.1, rtt="20ms", jitter="2ms"{more})
async def test_it(network):
    reader, writer = await connected(network)
    writer.write(bytes(200_000))
    await reader.readexactly(200_000)
    await closed(writer)
    print("digest", network.world.digest(), network.seed)
"""


def digest(inner: Inner, *options: str, more: str = "") -> list[str]:
    """The digest of a run in a process of its own, and its seed."""
    result = inner.run_apart(DIGEST.format(more=more), "-s", *options)
    result.assert_outcomes(passed=1)
    (found,) = re.findall(r"digest (\w+) (\w+)", result.stdout.str())
    return list(found)


def test_each_run_is_the_same_unless_another_seed_is_asked_for(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    first = digest(inner)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert digest(inner) == first
    other = digest(inner, "--network-seed=7")
    assert other[0] != first[0]
    assert other[1] == "7"
    assert digest(inner, "--network-seed=8", more=", seed=7") == other


def test_a_random_seed_is_told_and_can_be_had_again(inner: Inner) -> None:
    source = """
@pytest.mark.network(loss=0.1)
async def test_it(network):
    assert network.seed == "?"

@pytest.mark.network(seed=5)
async def test_pinned(network):
    assert network.seed == "?"
"""
    result = inner.run(source, "--network-seed=random")
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    (seed,) = re.findall(r"^pystack: --network-seed=(\d+)$", text, re.MULTILINE)
    result.stdout.fnmatch_lines(
        [
            f"seed {seed}, 0 s of virtual time: delay 500us loss 10%",
            f"to have it again: --network-seed={seed}",
            "seed 5, 0 s of virtual time: delay 500us",
        ]
    )
    assert text.count("to have it again") == 1
    assert f"assert {seed} == '?'" in inner.run(source, f"--network-seed={seed}").stdout.str()


def test_a_mark_with_several_seeds_is_a_test_for_each(inner: Inner) -> None:
    result = inner.passes(
        """
@pytest.mark.network(loss=0.1, seed=range(3))
async def test_it(network, network_seed):
    assert network.seed == network_seed
    assert network_seed in (0, 1, 2)
""",
        3,
        "-v",
    )
    result.stdout.fnmatch_lines([f"*::test_it?seed{seed}? PASSED*" for seed in range(3)])


# -- failures ------------------------------------------------------------------------------------
def test_a_failure_tells_of_the_network(inner: Inner) -> None:
    result = inner.run(
        """
@pytest.mark.network(rtt="40ms", loss=0.3, seed=4)
async def test_it(network):
    reader, writer = await connected(network)
    writer.write(bytes(100_000))
    await reader.readexactly(100_000)
    assert network.now_s == 0
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       assert network.now_s == 0",
            "*- network -*",
            "seed 4, *s of virtual time: delay 20000us loss 30%",
            "out: sent *, arrived *, octets *, lost *",
            "in: sent *, arrived *, octets *, lost *",
            "digest ????????????????",
        ]
    )
    result.stdout.no_fnmatch_line("*NetworkLeakWarning*")  # it has failed, so it is not blamed


def test_a_deadlock_ends_at_the_line_that_waits_and_names_the_tasks(inner: Inner) -> None:
    result = inner.run(
        """
async def answer(reader):
    try:
        return await reader.readexactly(5)
    finally:
        print("cleaned up")

async def test_it(network):
    reader, writer = await connected(network)
    try:
        await answer(reader)
    except Exception:
        pass
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*return await reader.readexactly(5)",
            "E*Failed: everything waits, and nothing is left to happen:",
            "E*Task-*: echo (*test_inner.py, line *), waits in *",
            "E*test_it: test_it (*test_inner.py, line *), waits in *",
            "test_inner.py:*: Failed",
            "cleaned up",
            "*- network -*",
        ]
    )
    result.stdout.no_fnmatch_line("*asyncio/streams.py:*")


def test_the_time_that_a_test_may_take(inner: Inner) -> None:
    result = inner.run(
        """
async def forever():
    while True:
        try:
            await asyncio.sleep(1)
        except Exception:
            pass

@pytest.mark.network(timeout="90s")
async def test_virtual(network):
    await forever()

@pytest.mark.network(timeout=0.3, time="real")
async def test_real(network):
    await forever()

async def test_one_that_never_pauses(network):
    while True:
        await asyncio.sleep(0)

@pytest.mark.network(timeout=5)
async def test_one_that_takes_no_notice(network):
    while True:
        try:
            await asyncio.sleep(1)
        except (Exception, asyncio.CancelledError, pytest.fail.Exception):
            pass

async def test_the_next_one(network):
    _, writer = await connected(network)
    await closed(writer)
"""
    )
    result.assert_outcomes(failed=4, passed=1)
    result.stdout.fnmatch_lines(
        [
            ">*await asyncio.sleep(1)",
            "E*Failed: 90 s of virtual time have passed:",
            "E*test_virtual: *",
            "seed 0, 90 s of virtual time: *",
            "E*Failed: 0.3 s have passed:",
            "E*test_real: *",
            ">*await asyncio.sleep(0)",
            "E*Failed: time does not move on: *",
            "E*Failed: 5 s of virtual time have passed:",
        ]
    )


def test_whatever_a_test_does_everything_is_put_away(inner: Inner) -> None:
    """In a process where each warning is an error, and asyncio looks twice."""
    result = inner.run_apart(
        """
import gc

@pytest.fixture(autouse=True)
def nothing_left():
    yield
    gc.collect()

kinds = pytest.mark.parametrize("kind", [
    pytest.param("virtual", marks=pytest.mark.network(time="virtual")),
    pytest.param("real", marks=pytest.mark.network(time="real", timeout=1.5)),
])

@kinds
async def test_raises(network, kind):
    reader, writer = await connected(network)
    asyncio.create_task(asyncio.sleep(1000))
    writer.write(bytes(1_000_000))
    raise KeyError

@kinds
async def test_hangs(network, kind):
    await asyncio.start_server(echo, "server", 8)
    reader, writer = await asyncio.open_connection("server", 8)
    await reader.read()

@kinds
async def test_skips(network, kind):
    reader, writer = await connected(network)
    pytest.skip("not today")
""",
        "-W", "error",
    )  # fmt: skip
    result.assert_outcomes(failed=4, skipped=2)
    result.stdout.no_fnmatch_line("*Exception in callback*")  # tasks of servers that are cancelled


def test_networks_do_not_outlive_their_tests(inner: Inner) -> None:
    """Each has megabytes of arenas, and pytest keeps its items to the end."""
    inner.run(
        """
import gc, weakref
worlds = weakref.WeakSet()

@pytest.mark.parametrize("number", range(6))
async def test_some(network, number):
    worlds.add(network.world)
    _, writer = await connected(network)
    await closed(writer)
    assert number != 3

def test_none_is_left():
    gc.collect()
    assert len(worlds) <= 1  # of the one that has failed, its traceback
"""
    ).assert_outcomes(passed=6, failed=1)


def test_what_is_left_open_is_warned_of(inner: Inner) -> None:
    source = """
import pytest
left = []

async def test_leaves(network):
    reader, writer = await connected(network)
    left.append(writer)
    left.append(asyncio.create_task(asyncio.sleep(1e6), name="sleeper"))

async def test_ends_by_itself(network):
    reader, writer = await connected(network)
    writer.close()
    left.append(asyncio.create_task(asyncio.sleep(1)))

async def test_closes_what_it_was_given(network):
    reader, writer = await connected(network)
    writer.transport.abort()
"""
    result = inner.run(source)
    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "test_inner.py::test_leaves",
            "*NetworkLeakWarning: the test has left open:",
            "*task Task-*: echo *",
            "*task sleeper: sleep *",
            "*connection server: 198.18.0.2:7 to 198.18.0.1:*, ESTABLISHED",
            "*connection client: 198.18.0.1:* to 198.18.0.2:7, ESTABLISHED",
        ]
    )
    strict = ("-W", "error::pystack.testing.pytest_plugin.NetworkLeakWarning")
    inner.run(source, *strict).assert_outcomes(passed=3, errors=1)
    mark = "pytestmark = pytest.mark.network(leaks={!r})\n"
    inner.run(source + mark.format("error")).assert_outcomes(passed=3, errors=1)
    inner.run(source + mark.format("allow")).assert_outcomes(passed=3)


def test_tasks_that_are_left_clean_up_while_there_is_a_network(inner: Inner) -> None:
    result = inner.passes(
        """
async def sleeper(network):
    try:
        await asyncio.sleep(1e6)
    finally:
        reader, writer = await network.client.open_connection("server", 7)
        await closed(writer)
        print("goodbye at", network.now_s > 1)

@pytest.mark.network(leaks="allow", rtt="2s")
async def test_it(network):
    await network.server.start_server(echo, port=7)
    asyncio.create_task(sleeper(network))
    await asyncio.sleep(0)
""",
        1,
        "-s",
    )
    result.stdout.fnmatch_lines(["*goodbye at True*"])


@pytest.mark.parametrize(
    ("mark", "signature", "line"),
    [
        ("los=0.1", "network", "'los' is no word of a network: is it loss?"),
        ('"dely 20ms"', "network", "'dely' is no word of an impairment: is it delay?"),
        ('time="real"', "world", "a world is in virtual time"),
        ("seed=range(3)", "", "several seeds stand in the mark of a test that names network *"),
    ],
)
def test_a_mark_that_means_nothing_is_told_in_one_line(
    inner: Inner, mark: str, signature: str, line: str
) -> None:
    result = inner.run(
        f"""
@pytest.mark.network({mark})
async def test_it({signature}):
    pass
"""
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_inner.py::test_it: pytest.mark.network: {line}"])


# -- with others ---------------------------------------------------------------------------------
OTHERS = """
@pytest.mark.network(rtt="1s")
async def test_ours():
    assert type(asyncio.get_running_loop()).__name__ == "VirtualLoop"
    begin = asyncio.get_running_loop().time()
    await asyncio.sleep(100)

@pytest.fixture
async def value():
    await asyncio.sleep(0)
    return asyncio.get_running_loop()

@their_mark
async def test_marked_for_both(network, value):
    assert value is asyncio.get_running_loop()
    assert type(value).__name__ == "VirtualLoop"
    await asyncio.sleep(100)

@their_mark
async def test_theirs(value):
    assert value is asyncio.get_running_loop()
    assert type(value).__name__ != "VirtualLoop"

@their_mark
@pytest.mark.network
async def test_a_mark_of_that_name_that_others_use():
    assert type(asyncio.get_running_loop()).__name__ != "VirtualLoop"

@pytest.mark.network("https://example.com", retries=3)
def test_another_one():
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
"""


@pytest.mark.parametrize(
    ("their_mark", "options"),
    [
        ("pytest.mark.asyncio", ["-o", "asyncio_mode=auto"]),
        ("lambda function: function", ["-o", "asyncio_mode=auto"]),
        ("pytest.mark.anyio", []),
        ("lambda function: function", ["-p", "no:asyncio", "--anyio-mode=auto"]),
    ],
)
def test_tests_of_other_plugins_run_on_theirs_and_ours_on_ours(
    inner: Inner, their_mark: str, options: list[str]
) -> None:
    backend = """
@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    wall = time.monotonic()
    source = f"their_mark = {their_mark}\n{backend}{OTHERS}"
    scope = ("-o", "asyncio_default_fixture_loop_scope=function")
    result = inner.run(source, *options, *scope, alone=False)
    result.assert_outcomes(passed=5)
    assert time.monotonic() - wall < 60


def test_pytest_asyncio_in_strict_mode(inner: Inner) -> None:
    result = inner.run(
        """
import pytest_asyncio

@pytest_asyncio.fixture
async def theirs():
    return asyncio.get_running_loop()

async def test_ours(network, theirs):
    assert theirs is asyncio.get_running_loop()
    await asyncio.sleep(100)

@pytest.mark.asyncio
async def test_of_theirs(theirs):
    assert type(theirs).__name__ != "VirtualLoop"
""",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        alone=False,
    )
    result.assert_outcomes(passed=2)


def test_a_fixture_of_that_name_of_ones_own(inner: Inner) -> None:
    inner.passes(
        """
@pytest.fixture
def network():
    return "mine"

def test_it(network):
    assert network == "mine"
""",
        1,
    )


def test_unittests_are_left_alone(inner: Inner) -> None:
    inner.passes(
        """
import unittest

@pytest.mark.network(rtt="1ms")
class TestThem(unittest.IsolatedAsyncioTestCase):
    async def test_it(self):
        assert type(asyncio.get_running_loop()).__name__ != "VirtualLoop"
""",
        1,
    )


def test_it_is_light_until_a_test_has_a_network(inner: Inner) -> None:
    inner.write("def test_it(): pass\n")
    program = f"""
import pytest, sys
assert pytest.main([*{PLUGIN!r}, "-q", "-p", "no:asyncio", "-p", "no:anyio"]) == 0
heavy = {{name for name in sys.modules if name.startswith(("pystack.aio.", "pystack.sim."))}}
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=inner.pytester.path, capture_output=True, text=True,
        check=False, timeout=PATIENCE, env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_program_may_cancel_all_tasks_but_its_own(inner: Inner) -> None:
    result = inner.run(
        """
def others():
    return asyncio.all_tasks() - {asyncio.current_task()}

@pytest.mark.network(rtt="1ms")
async def test_shutdown(network):
    assert others() == set()
    served = asyncio.create_task(asyncio.sleep(1000))
    assert others() == {served}
    for task in others():
        task.cancel()
    await asyncio.sleep(0.1)
    assert served.cancelled()
"""
    )
    result.assert_outcomes(passed=1)

"""The command line of `scripts/asyncio-suites`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click

from pystack.cli.calling.failures import Failure
from scripts.asyncio_suites import anyio_suite, children, report, skips
from scripts.asyncio_suites.cpython_tests import are_here, name_of, tests_of
from scripts.asyncio_suites.outcome import Outcome, count
from scripts.asyncio_suites.places import ADDRESSES_ONLY
from scripts.asyncio_suites.running import Running
from scripts.programs.tables import write
from tests.live.namespace import missing_rights

NAME = "asyncio-suites"
MODULES = (  # those that take long come first
    "test_events", "test_ssl", "test_sendfile", "test_sslproto", "test_sock_lowlevel",
    "test_streams", "test_server", "test_buffered_proto", "test_transports", "test_base_events",
    "test_unix_events", "test_selector_events",
)  # fmt: skip


def run_all(modules: list[str], anyio: bool, loop: str, skipped_too: bool) -> list[Outcome]:
    """All outcomes. Raises NotFetched."""
    skipped: list[Outcome] = []
    running = Running()
    found: list[Future[list[Outcome]]] = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool, _or_none(pool, running):
        if anyio:
            anyio_suite.archive()
            found.append(pool.submit(anyio_suite.run, loop, skipped_too, running))
        for module in modules:
            names = [name_of(test) for test in tests_of(module)]
            reasons = {one: skips.reason(skips.CPYTHON, one) for one in names}
            if skipped_too:
                reasons.clear()
            skipped += [Outcome(one, "skipped", why) for one, why in reasons.items() if why]
            wanted = [one for one in names if not reasons.get(one)]
            if wanted:
                found.append(pool.submit(children.run, wanted, loop, running))
        outcomes = [outcome for one in found for outcome in one.result()]
    return skipped + outcomes


@contextmanager
def _or_none(pool: ThreadPoolExecutor, running: Running) -> Iterator[None]:
    """When one raises, or we are ended, the others are not waited for."""
    try:
        yield
    except BaseException:
        running.stop()
        pool.shutdown(cancel_futures=True)
        raise


@click.command(epilog="Example: scripts/asyncio-suites --only test_streams --only test_ssl")
@click.option("--only", type=click.Choice([*MODULES, "anyio"]), multiple=True, metavar="MODULE",
              help="This module of CPython's, or `anyio`; may be repeated.")  # fmt: skip
@click.option("--loop", type=click.Choice(["pystack", "asyncio"]), default="pystack",
              help="asyncio: on asyncio's own loop and the kernel, to compare.")  # fmt: skip
@click.option("--addresses-only", is_flag=True,
              help="Change nothing but addresses: calls that block stay so.")  # fmt: skip
@click.option("--skipped-too", is_flag=True, help="Run those as well that are skipped.")
@click.option("--document", type=click.Path(path_type=Path), help="A table in Markdown.")
@click.option("--json", "figures", type=click.Path(path_type=Path), help="The table's figures.")
def main(
    only: tuple[str, ...], loop: str, addresses_only: bool, skipped_too: bool,
    document: Path | None, figures: Path | None,
) -> None:  # fmt: skip
    """CPython's own tests of asyncio, and anyio's of streams and sockets, on pystack's event loop.

    Their loopback addresses are rewritten to those of a stack over a TUN device, in a network
    namespace of each module's own; what blocks in a thread is on the kernel's side of the device.
    Ends with status 1 if a test fails, 2 if it cannot run them.
    """
    if reason := missing_rights():
        raise Failure(reason, NAME)
    if not are_here():
        raise Failure(
            "this Python has no test.test_asyncio, and scripts/setup --asyncio-tests brought none "
            "(Debian has it in a package, which may need a later Python)", NAME,
        )
    if addresses_only:
        os.environ[ADDRESSES_ONLY] = "1"
    began = time.monotonic()
    modules = [one for one in MODULES if not only or one in only]
    try:
        outcomes = run_all(modules, not only or "anyio" in only, loop, skipped_too)
    except anyio_suite.NotFetched as error:
        raise Failure(str(error), NAME) from None
    report.show(outcomes, time.monotonic() - began)
    if document is not None:
        write(document, report.document(outcomes))
    if figures is not None:
        write(figures, json.dumps(report.figures(outcomes)))
    if count(outcomes, "failed"):
        sys.exit(1)

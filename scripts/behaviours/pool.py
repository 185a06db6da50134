"""Experiments on all processors. Each decides its own chances, so who runs it does not matter."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any, Protocol


class Experiment(Protocol):
    """Something that can be sent to another process, and gives a result there."""

    def run(self) -> Any:
        """The result."""
        ...


def results(
    experiments: Sequence[Experiment], workers: int, done: Callable[[], object]
) -> list[Any]:
    """What each gives, in their order; `done` is called after each.

    When one raises, or we are ended, the others are not waited for.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            with _ours_alone(signal.SIGINT):
                futures = [pool.submit(_run, experiment) for experiment in experiments]
            for future in as_completed(futures):
                future.result()
                done()
            return [future.result() for future in futures]
        except BaseException:
            for worker in active_children():
                worker.kill()
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _ours_alone(number: int) -> Iterator[None]:
    """Processes that are started meanwhile never get that signal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(experiment: Experiment) -> Any:
    return experiment.run()

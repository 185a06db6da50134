"""Experiments on all processors. Each decides its own chances, so who runs it does not matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, Protocol


class Experiment(Protocol):
    """Something that can be sent to another process, and gives a result there."""

    def run(self) -> Any:
        """The result."""
        ...


def results(
    experiments: Sequence[Experiment], workers: int, done: Callable[[], object]
) -> list[Any]:
    """What each gives, in their order; `done` is called after each."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_run, experiment) for experiment in experiments]
        for future in as_completed(futures):
            future.result()
            done()
        return [future.result() for future in futures]


def _run(experiment: Experiment) -> Any:
    return experiment.run()

"""What a run of pytest does for `scripts/mutate`, told by two variables of the environment.

MUTATE_MAP=FILE: writes down which tests execute each line, how long each test takes, and which have
failed. MUTATE_TESTS=FILE: runs the tests named there, in that order, and no others.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

MEMORY: Final = 4 << 30  # bytes: a loop that a change has made endless ends here, if not by time


def pytest_configure(config: pytest.Config) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    if "MUTATE_MAP" in os.environ:
        config.pluginmanager.register(_Map(Path(os.environ["MUTATE_MAP"]), config.rootpath))
    if "MUTATE_TESTS" in os.environ:
        names = json.loads(Path(os.environ["MUTATE_TESTS"]).read_text())
        config.pluginmanager.register(_Chosen(names))


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    import pystack

    assert Path(pystack.__file__).is_relative_to(session.config.rootpath), pystack.__file__


class _Map:
    def __init__(self, file: Path, root: Path) -> None:
        from coverage import Coverage

        self.file = file
        self.root = root
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        sources = [str(root / "pystack")]
        self.coverage = Coverage(data_file=f"{file}.coverage", config_file=False, source=sources)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.seconds[item.nodeid] = 0.0
        self.coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        numbers = {name: number for number, name in enumerate(self.seconds)}
        lines: dict[str, dict[int, list[int]]] = {}
        for path in data.measured_files():
            name = Path(path).relative_to(self.root).as_posix()
            lines[name] = {
                line: [numbers[test] for test in tests if test in numbers]
                for line, tests in data.contexts_by_lineno(path).items()
            }
        tests = list(self.seconds.items())
        found = {"tests": tests, "failed": sorted(self.failed), "lines": lines}
        self.file.write_text(json.dumps(found))


class _Chosen:
    def __init__(self, names: list[str]) -> None:
        self.places = {name: place for place, name in enumerate(names)}

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """A test whose name holds what was changed is found by the rest of its name."""
        known = {item.nodeid for item in items}
        gone = {name.partition("[")[0]: at for name, at in self.places.items() if name not in known}
        places: dict[pytest.Item, int] = {}
        for item in items:
            place = self.places.get(item.nodeid, gone.get(item.nodeid.partition("[")[0]))
            if place is not None:
                places[item] = place
        config.hook.pytest_deselected(items=[item for item in items if item not in places])
        items[:] = sorted(places, key=places.__getitem__)

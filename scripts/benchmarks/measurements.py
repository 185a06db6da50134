"""What is measured, how, and which figure is wanted."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from scripts.benchmarks.networks import Networks, Way
from scripts.benchmarks.ports import WEB
from scripts.programs.child_program import PATIENCE

Figures = dict[str, float]  # "value", and what else came of it


@dataclass(frozen=True)
class Effort:
    """How long and how many."""

    seconds: float = 2.0
    connections: int = 10_000  # for memory
    megabytes: int = 1000  # of a download
    idle_seconds: float = 5.0


@dataclass(frozen=True)
class Measurement:
    """One line of the table."""

    name: str
    title: str
    unit: str
    run: Callable[[Networks, str, Effort], Figures]
    target: float | None = None
    is_relative: bool = False  # the target is one for the ratio to the kernel's figure
    more_is_better: bool = True
    repeats: bool = True

    def meets_target(self, value: float) -> bool:
        """Whether a figure is good enough."""
        if self.target is None:
            return True
        return value >= self.target if self.more_is_better else value <= self.target


def load(
    kind: str, way: Way, parallel: int, networks: Networks, side: str, effort: Effort
) -> Figures:
    """The client's own figures, and the processor time that the server took for it."""
    with networks.server(side, way) as server:
        before = server.work()
        options = ("--seconds", effort.seconds, "--parallel", parallel)
        with networks.client(kind, way.host(side), *options) as client:
            figures: Figures = json.loads(client.line(effort.seconds + PATIENCE))
            after = server.work()
    # "work": MB, or how many of them
    figures["cpu_us"] = (after["cpu_s"] - before["cpu_s"]) * 1e6 / figures["work"]
    return figures


def memory(networks: Networks, side: str, effort: Effort) -> Figures:
    """Bytes per idle connection: growth of the resident set, and of what Python allocated."""
    way, count = Way(), effort.connections
    figures: Figures = {"connections": count}
    for key, options in (("resident", ()), ("traced", ("--tracemalloc",))):
        with networks.server(side, way, *options) as server:
            with networks.client("idle", way.host(side), "--parallel", 10) as few:
                few.line()  # what is made at first use only
            before = server.ask()
            with networks.client("idle", way.host(side), "--parallel", count) as client:
                client.line(PATIENCE + count / 100)
                figures[key] = (server.ask()[key] - before[key]) / count
    figures["value"] = figures["resident"] / 1024
    return figures


def idle(networks: Networks, side: str, effort: Effort) -> Figures:
    """Processor time of a server that has connections and nothing to do."""
    way = Way()
    with (
        networks.server(side, way) as server,
        networks.client("idle", way.host(side), "--parallel", 100) as client,
    ):
        client.line()
        time.sleep(1.0)  # delayed acknowledgements are due by then
        before = server.work()
        time.sleep(effort.idle_seconds)
        after = server.work()
    return {
        "value": (after["cpu_s"] - before["cpu_s"]) * 1e3 / effort.idle_seconds,
        "wake_ups": after["wake_ups"] - before["wake_ups"],
        "seconds": effort.idle_seconds,
    }


def library_server(http: str, networks: Networks, side: str, effort: Effort) -> Figures:
    """wrk with 64 connections that stay, on uvicorn."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is not installed: sudo apt-get install wrk")
    seconds = max(round(effort.seconds), 1)  # wrk's own unit
    url = f"http://{Way().host(side)}:{WEB}/"
    with networks.program(side, "hello", "--http", http) as server:
        before = server.work()
        wrk = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", url]
        text = networks.near.run(wrk, timeout=seconds + PATIENCE).stdout
        after = server.work()
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"wrk had errors:\n{text}")
    figures = {"value": float(_found(r"Requests/sec:\s+([\d.]+)", text)[0])}
    figures["work"] = float(_found(r"(\d+) requests in", text)[0])
    for rank in (50, 90, 99):
        number, unit = _found(rf" {rank}%\s+([\d.]+)(us|ms|s)", text)
        figures[f"p{rank}_us"] = float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]
    figures["cpu_us"] = (after["cpu_s"] - before["cpu_s"]) * 1e6 / figures["work"]
    return figures


def _found(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk printed what is not understood:\n{text}")
    return found.groups()


def library_client(
    kind: str, options: Sequence[str], networks: Networks, side: str, effort: Effort
) -> Figures:
    """A library's client that fetches from the kernel's side."""
    amount = effort.megabytes if kind == "download" else effort.seconds
    with networks.program(side, kind, *options) as client:
        before = client.work()
        figures: Figures = client.ask(str(amount))
        after = client.work()
    figures["cpu_us"] = (after["cpu_s"] - before["cpu_s"]) * 1e6 / figures["work"]
    return figures


def library_files(networks: Networks, side: str, effort: Effort) -> Figures:
    """A file that a library sends by `loop.sendfile`, for the second time: no disk takes part."""
    options = ("--parallel", effort.megabytes)
    with networks.program(side, "files") as server:
        for _ in range(2):
            before = server.work()
            with networks.client("fetch", Way().host(side), *options) as client:
                figures: Figures = json.loads(client.line())
            after = server.work()
    figures["cpu_us"] = (after["cpu_s"] - before["cpu_s"]) * 1e6 / figures["work"]
    return figures


def _bulk(name: str, title: str, kind: str, way: Way, target: float | None) -> Measurement:
    return Measurement(name, title, "Gbit/s", partial(load, kind, way, 1), target)


def _uvicorn(http: str, target: float | None) -> Measurement:
    title = f"uvicorn ({http}), wrk -c64"
    return Measurement(
        f"uvicorn-{http}", title, "/s", partial(library_server, http), target, is_relative=True
    )


def _download(name: str, kilobytes: int) -> Measurement:
    """Pieces as programs ask for; 256 KB are what asyncio takes from the kernel at once."""
    options = ("--piece", str(kilobytes << 10))
    run = partial(library_client, "download", options)
    title = f"aiohttp, download, {kilobytes} KB pieces"
    return Measurement(name, title, "Gbit/s", run, 0.8, is_relative=True)


OFFLOAD, PLAIN, IPV6 = Way(), Way(offload=False), Way(version=6)

MEASUREMENTS = (
    _bulk("receive", "bulk receive, offload", "send", OFFLOAD, 10),
    _bulk("send", "bulk send, offload", "receive", OFFLOAD, 10),
    _bulk("receive-plain", "bulk receive, no offload", "send", PLAIN, 0.4),
    _bulk("send-plain", "bulk send, no offload", "receive", PLAIN, 0.4),
    _bulk("receive-ipv6", "bulk receive, offload, IPv6", "send", IPV6, None),
    Measurement("echo", "round trips, 1 connection", "/s", partial(load, "echo", OFFLOAD, 1), 8000),
    Measurement("echo-32", "round trips, 32 connections", "/s", partial(load, "echo", OFFLOAD, 32)),
    Measurement(
        "connections", "connections, one by one", "/s", partial(load, "once", OFFLOAD, 1), 1500
    ),
    Measurement(
        "connections-16", "connections, 16 at a time", "/s", partial(load, "once", OFFLOAD, 16)
    ),
    _uvicorn("httptools", 0.7),
    _uvicorn("h11", 0.7),
    _download("aiohttp-download", 64),
    _download("aiohttp-download-256", 256),
    Measurement("aiohttp-file", "aiohttp, FileResponse", "Gbit/s", library_files),
    Measurement(
        "httpx",
        "httpx, GET one by one",
        "µs",
        partial(library_client, "latency", ()),
        1.3,
        is_relative=True,
        more_is_better=False,
    ),
    Measurement(
        "memory",
        "memory per idle connection",
        "KB",
        memory,
        16,
        more_is_better=False,
        repeats=False,
    ),
    Measurement(
        "idle", "CPU of an idle server", "ms/s", idle, 0.1, more_is_better=False, repeats=False
    ),
)

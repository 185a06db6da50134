"""Replaceable parts of installed packages, found by their entry points."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.cc import registry
from pystack.cli.calling.device_options import congestion_control, setting
from pystack.errors import SetupError
from pystack.parts import entry_points, variants
from pystack.sim.vloop import VirtualLoop
from pystack.sockets.constants import IPPROTO_TCP, TCP_CONGESTION
from tests.aio.memory_device import joined_devices
from tests.aio.two_stacks import LEFT, over, run

SOURCE = """
from pystack.cc import CongestionControl

class Mine(CongestionControl):
    pass
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(package, source, kind, **names)`: an installed package whose module has `source`,
    and the congestion controls, or parts of another kind, that it names."""
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    monkeypatch.setitem(variants._factories, "ack_policy", dict(variants._factories["ack_policy"]))
    monkeypatch.setattr(entry_points, "_seen", set())
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, source: str, kind: str = "congestion_control", **names: str) -> None:
        (tmp_path / f"{package}.py").write_text(source)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        points = "".join(f"{name} = {value}\n" for name, value in names.items())
        (info / "entry_points.txt").write_text(f"[pystack.{kind}]\n{points}")

    return install


def test_an_open_stack_knows_it(install: Install) -> None:
    install("nice_one", SOURCE, guest="nice_one:Mine")

    async def body(loop: VirtualLoop) -> None:
        device, _ = joined_devices()
        async with over(device, LEFT, loop=loop) as stack:
            socket = stack.host.socket()
            socket.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"guest")
            assert socket.getsockopt(IPPROTO_TCP, TCP_CONGESTION, 16).rstrip(b"\0") == b"guest"
            socket.close()

    run(body)


def test_a_stack_can_be_told_to_use_it(install: Install) -> None:
    install("nice_two", SOURCE, guest="nice_two:Mine")
    Stack.over_tun("tun0", "198.18.0.2/24", sysctl={"tcp_congestion_control": "guest"})
    assert registry.factory("guest")(1460, 14600).name == "guest"


@pytest.mark.parametrize("name", ["guest", "guest-3"])
def test_parts_of_other_kinds_come_in_the_same_way(install: Install, name: str) -> None:
    source = """
from pystack.tcp.policies.contracts import NOW, AckPolicy

class Mine(AckPolicy):
    def __init__(self, n=1):
        self.n = n

    def wait_us(self, tcb, now_us):
        return NOW
"""
    package = f"nice_{len(name)}_acks"
    names = {"guest": f"{package}:Mine", "guest-n": f"{package}:Mine"}
    install(package, source, "ack_policy", **names)
    Stack.over_tun("tun0", "198.18.0.2/24", sysctl={"tcp_ack_policy": name})
    assert variants.make("ack_policy", name).n == int(name[6:] or 1)


def test_a_name_that_nobody_brings_is_a_setup_error(install: Install) -> None:
    with pytest.raises(
        SetupError, match=r"no congestion control 'warp': there is .*reno"
    ) as caught:
        Stack.over_tun("tun0", "198.18.0.2/24", sysctl={"tcp_congestion_control": "warp"})
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("source", "value", "why"),
    [
        ("raise RuntimeError('no luck')", "{}:Mine", "RuntimeError: no luck"),
        (SOURCE, "{}:Yours", "AttributeError: module '{}' has no attribute 'Yours'"),
        (
            "Mine = 5", "{}:Mine", "TypeError: congestion control=5: "
            "a class made from pystack.cc.base.CongestionControl was expected",
        ),
    ],
)
def test_a_broken_one_is_named_in_one_line_and_the_others_are_there(
    install: Install, caplog: pytest.LogCaptureFixture, source: str, value: str, why: str
) -> None:
    package = f"broken_{len(why)}"
    install(package, source, bad=value.format(package))
    install(f"nice_{len(why)}", SOURCE, guest=f"nice_{len(why)}:Mine")
    with caplog.at_level(logging.WARNING, "pystack"):
        entry_points.load()
        entry_points.load()  # told once
    assert caplog.messages == [
        f"the congestion control 'bad' of {package} ({package}:Mine) is left out: ".replace(
            f"{package}:Mine", value.format(package)
        )
        + why.format(package)
    ]
    assert "guest" in registry.names()
    assert "bad" not in registry.names()


def test_a_package_cannot_take_the_name_of_another(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    reno = registry.factory("reno")
    install("rude", SOURCE, reno="rude:Mine")
    entry_points.load()
    assert registry.factory("reno") is reno
    assert "'reno' of rude" in caplog.text


def test_the_command_line_knows_it_too(install: Install) -> None:
    install("nice_three", SOURCE, guest="nice_three:Mine")
    assert setting("tcp_congestion_control=guest") == ("tcp_congestion_control", "guest")
    assert congestion_control("guest") == "guest"

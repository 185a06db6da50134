"""Names of congestion controls, and a class of one's own among them."""

from __future__ import annotations

from typing import Any

import pytest

import pystack.cc
from pystack.cc import AckSample, CongestionControl, registry
from pystack.compiling import is_compiled
from pystack.sockets import Host


@pytest.fixture(autouse=True)
def _names_stay_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))


class Mine(CongestionControl):
    """Never grows."""


def test_a_class_is_known_by_the_name_it_was_registered_with() -> None:
    pystack.cc.register("mine", Mine)
    assert "mine" in pystack.cc.names()
    cc = registry.factory("mine")(1460, 14600)
    assert isinstance(cc, Mine)
    assert (cc.name, cc.mss, cc.cwnd) == ("mine", 1460, 14600)
    cc.on_sample(AckSample())
    assert CongestionControl.name == "base"


def test_a_class_that_has_a_name_keeps_it() -> None:
    class Named(Mine):
        name = "other"

    pystack.cc.register("mine", Named)
    assert registry.factory("mine")(1460, 14600).name == "other"


def test_any_callable_will_do() -> None:
    pystack.cc.register("small", lambda mss, initial_cwnd: Mine(mss, 2 * mss))
    assert registry.factory("small")(1000, 10_000).cwnd == 2000


def test_the_latest_of_a_name_counts() -> None:
    pystack.cc.register("reno", Mine)
    assert type(registry.factory("reno")(1460, 14600)) is Mine


def test_a_host_offers_it_at_once() -> None:
    host = Host(["10.0.0.1/24"], secret=bytes(16))
    pystack.cc.register("mine", Mine)
    assert "mine" in host.sysctl("tcp_available_congestion_control").split()
    assert host.sysctl("tcp_congestion_control", "mine") == "mine"


@pytest.mark.parametrize("name", ["", "a name", "name\n", "sixteen-letters!", "größer"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 15 ASCII characters"):
        pystack.cc.register(name, Mine)


@pytest.mark.parametrize("given", [5, None, "mine", int, object, Mine(1460, 14600)])
def test_what_makes_no_congestion_control_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"made from pystack\.cc\.base\.CongestionControl was exp"):
        pystack.cc.register("mine", given)
    assert "mine" not in pystack.cc.names()


@pytest.mark.parametrize("name", [b"mine", 5, None, Mine])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    words = "str object expected" if is_compiled() else "a text such as 'mine' was expected"
    with pytest.raises(TypeError, match=words):
        pystack.cc.register(name, Mine)


def test_an_unknown_name_has_no_maker() -> None:
    with pytest.raises(KeyError):
        registry.factory("warp")

"""The link of a network, changed while packets pass."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from pystack.testing.network import IN, OUT, Network, NetworkLink
from pystack.testing.network_plan import plan
from tests.path.traffic import numbered


def link(seed: int, **words: Any) -> NetworkLink:
    return NetworkLink(plan(words), lambda: 1000, lambda purpose: Random(f"{seed}/{purpose}"))


def pattern(found: NetworkLink, direction: str) -> list[int]:
    """Which of fifty packets get lost."""
    stage = found.stages[direction]
    lost = []
    for number, packet in enumerate(numbered(50)):
        before = stage.counts()["lost"]
        stage.feed(packet, 1000)
        if stage.counts()["lost"] > before:
            lost.append(number)
    return lost


def test_each_direction_and_each_change_has_chances_of_its_own() -> None:
    one, other = link(1, loss=0.5), link(1, loss=0.5)
    found = [pattern(one, OUT), pattern(one, IN)]
    one.change(loss=0.5)
    found.append(pattern(one, OUT))
    one.impair("loss 50%")
    found.append(pattern(one, OUT))
    assert len({tuple(numbers) for numbers in found}) == 4
    assert pattern(other, OUT) == found[0]
    assert pattern(link(2, loss=0.5), OUT) != found[0]


def test_after_another_way_words_change_that_way() -> None:
    changing = link(1, loss=0.5, rtt="40ms")
    changing.impair("loss 100%")
    assert len(pattern(changing, OUT)) == 50
    changing.change(rtt="2ms")
    stage = changing.stages[OUT]
    assert stage.next_deadline() == 0
    assert len(pattern(changing, OUT)) == 50  # what was said still holds


@pytest.mark.network(rtt="2ms")
async def test_what_a_network_cannot_take_is_told(network: Network) -> None:
    with pytest.raises(TypeError, match="words=5: a text such as 'delay 20ms loss 1%'"):
        network.link.impair(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="at='client': a host was expected"):
        network.pcap("never.pcapng", at="client")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="for tests that are no coroutines: await it here"):
        network.run(asyncio.sleep(0))


@pytest.mark.network(rtt="2ms")
def test_only_a_coroutine_is_run(network: Network) -> None:
    for given in (5, asyncio.sleep):
        with pytest.raises(TypeError, match=r"a coroutine was expected, such as network\.run\("):
            network.run(given)  # type: ignore[arg-type]
    assert network.run(asyncio.sleep(0, "done")) == "done"

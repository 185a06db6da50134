"""The contract of pystack/cc/base.py, held by every congestion control that has a name."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack.cc import CongestionControl, registry
from pystack.cc.base import ECT_0, ECT_1
from tests.cc.anything import VERBS, Anything, Step
from tests.cc.built_in import names

MSS = 1448

every = pytest.mark.parametrize("name", names())
octets = st.integers(0, 255)
steps = st.lists(st.tuples(st.integers(0, len(VERBS) - 1), octets, octets, octets), max_size=120)


def new(name: str, seed: int = 1) -> CongestionControl:
    cc = registry.factory(name)(MSS, 10 * MSS)
    cc.seed = seed
    return cc


def random_steps(seed: int, count: int) -> list[Step]:
    chance = random.Random(seed)
    return [
        (chance.randrange(len(VERBS)), *(chance.randrange(256) for _ in range(3)))
        for _ in range(count)
    ]  # type: ignore[misc]


@every
@given(steps=steps)
@settings(deadline=None, max_examples=60)
def test_no_legal_sequence_of_hooks_breaks_the_contract(name: str, steps: list[Step]) -> None:
    Anything(new(name)).play(steps)


@every
@pytest.mark.parametrize("seed", range(4))
def test_long_random_sequences_keep_the_contract(name: str, seed: int) -> None:
    Anything(new(name)).play(random_steps(seed, 3000))


@every
@pytest.mark.parametrize("verbs", [("send", "ack"), ("send", "ack", "idle"), ("send", "lose")])
def test_sequences_of_few_verbs_keep_the_contract(name: str, verbs: tuple[str, ...]) -> None:
    chosen = [VERBS.index(verb) for verb in verbs]
    steps = [(chosen[a % len(chosen)], a, b, c) for a, b, c, _ in random_steps(9, 3000)]
    Anything(new(name)).play(steps)


@every
def test_the_same_facts_give_the_same_windows(name: str) -> None:
    played = [Anything(new(name)).play(random_steps(5, 1000)) for _ in range(2)]
    assert played[0] == played[1]


@every
def test_an_algorithm_keeps_nothing_outside_of_its_connection(name: str) -> None:
    first = Anything(new(name)).play(random_steps(6, 300))
    Anything(new(name)).play(random_steps(7, 300))
    assert Anything(new(name)).play(random_steps(6, 300)) == first


@every
def test_it_is_called_what_it_is_registered_as(name: str) -> None:
    cc = new(name)
    assert cc.name == name
    assert cc.ect in (ECT_0, ECT_1)


@every
def test_it_takes_over_in_mid_connection(name: str) -> None:
    cc = new(name)
    cc.cwnd, cc.ssthresh = 33 * MSS, 30 * MSS
    player = Anything(cc)
    player.delivered, player.now_us = 10**9, 10**10
    player.play(random_steps(8, 500))


@every
def test_an_mss_larger_than_the_window_leaves_one_segment(name: str) -> None:
    cc = registry.factory(name)(MSS, MSS)
    cc.on_mss(8948)
    assert cc.cwnd == 8948

"""What the words of a network mark mean, and what is said of those that mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pystack.testing.network_plan import NetworkPlan, changed, merged, plan, way


def planned(**words: Any) -> NetworkPlan:
    return plan(merged([((), words)]))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({}, "delay 500us"),
        ({"rtt": "40ms", "loss": 0.01}, "delay 20000us loss 1%"),
        ({"delay": "20ms", "jitter": "2ms"}, "delay 20000us 2000us"),
        ({"rtt": "41us", "jitter": "2us"}, "delay 20us 2us in: delay 21us 2us both:"),
        ({"rtt": "2s", "loss": 1}, "delay 1000000us loss 100%"),
        ({"loss": 0.07, "reorder": 1e-7}, "delay 500us loss 7% reorder 0.00001%"),
        ({"loss": "gemodel 1% 25%"}, "delay 500us loss gemodel 1% 25%"),
        ({"duplicate": 0.5, "corrupt": "1% 25%"}, "delay 500us duplicate 50% corrupt 1% 25%"),
        ({"rate": "20mbit", "queue": 50}, "delay 500us rate 20mbit limit 50"),
        ({"rate": 10**6, "limit": "64kb"}, "delay 500us rate 1000000bit limit 64kb"),
        ({"rate": "1mbit", "queue": "fq_codel"}, "delay 500us rate 1mbit queue fq_codel"),
        ({"impair": "out: delay 3ms"}, "out: delay 3ms"),
        ({"impair": "loss 5%", "rtt": "4ms"}, "delay 2000us loss 5%"),
    ],
)
def test_words_are_said_as_those_of_impairments(words: dict[str, Any], text: str) -> None:
    assert planned(**words).words == text


def test_the_odd_microsecond_of_a_round_trip_is_on_the_way_back() -> None:
    impairment = planned(rtt="41us").impairment
    delays = [way.timeline[0][1].delay_us for way in (impairment.outbound, impairment.inbound)]
    assert delays == [20, 21]


def test_the_rest_of_the_words() -> None:
    found = planned(
        time="real", timeout="2500ms", mtu=1400, ipv6=False, sysctl={"tcp_sack": 0}, cc="reno",
        seed=range(3), leaks="error",
    )  # fmt: skip
    assert found.real
    assert found.timeout_s == 2.5
    assert found.mtu == 1400
    assert (found.ipv4, found.ipv6) == (True, False)
    assert found.sysctl == {"tcp_sack": 0, "tcp_congestion_control": "reno"}
    assert found.seeds == (0, 1, 2)
    assert found.leaks == "error"
    assert (planned(ipv6=True).ipv4, planned(ipv6=True).ipv6) == (False, True)
    assert planned(seed="mine").seeds == ("mine",)
    assert planned(timeout=3).timeout_s == 3
    assert planned().timeout_s > planned(time="real").timeout_s


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"los": 0.01}, "'los' is no word of a network: is it loss?"),
        ({"colour": 1}, "'colour' is no word of a network: there are rtt, .* and leaks"),
        ({"rtt": 40}, "rtt=40: a time is a text with a unit"),
        ({"rtt": "40"}, "rtt='40': a time is a number with us, ms or s"),
        ({"rtt": "1ms", "delay": "2ms"}, "rtt and delay say the same"),
        ({"rtt": "1ms", "impair": "delay 2ms"}, "rtt: impair has a delay as well"),
        ({"jitter": "1ms", "impair": "delay 2ms"}, "jitter: impair has a delay as well"),
        ({"loss": 5}, "loss=5: it is a part of 1"),
        ({"loss": True}, "loss=True: it is a part of 1"),
        ({"loss": "lots"}, "loss 'lots': a percentage"),
        ({"loss": 0.1, "impair": "loss 2%"}, "loss is said twice"),
        ({"rate": "20furlongs"}, "rate '20furlongs': a rate is a number"),
        ({"rate": 0.5}, "rate=0.5: bits per second"),
        ({"queue": "long"}, "queue 'long': there are pfifo"),
        ({"limit": None, "queue": 2.5}, "queue=2.5: a number of packets"),
        ({"impair": 5}, "impair=5: a text"),
        ({"impair": "trace /no/such/file"}, "/no/such/file"),
        ({"mtu": "big"}, "mtu='big': bytes"),
        ({"mtu": 1000}, "mtu=1000: IPv6 needs 1280 at least, say ipv6=False"),
        ({"ipv6": "yes"}, "ipv6='yes'"),
        ({"cc": "fastest"}, "cc: there is no congestion control 'fastest'"),
        ({"sysctl": {"tcp_luck": 1}}, "sysctl: no setting of that name: tcp_luck"),
        ({"sysctl": "tcp_sack=0"}, "sysctl='tcp_sack=0'"),
        ({"sysctl": {5: 1}}, "sysctl: sysctl=5: a text such as 'tcp_sack' was expected"),
        ({"seed": 1.5}, "seed=1.5: a number"),
        ({"seed": []}, r"seed=\[\]: a number"),
        ({"time": "fast"}, "time='fast': there are virtual and real"),
        ({"timeout": 0}, "timeout=0: it must be above 0"),
        ({"timeout": None, "leaks": "hide"}, "leaks='hide': there are"),
        ({"timeout": [1]}, r"timeout=\[1\]: seconds"),
    ],
)
def test_what_means_nothing_is_told_in_one_line(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, OSError), match=sentence) as caught:
        planned(**words)
    assert "\n" not in str(caught.value)


def test_of_several_marks_the_closest_says_what_holds() -> None:
    words = merged(
        [((), {"loss": 0.2}), (("rate 1mbit",), {"rtt": None}), ((), {"rtt": "9ms", "loss": 0.1})]
    )
    assert words == {"loss": 0.2, "impair": "rate 1mbit"}
    # a delay and a round trip say the same, so one goes for the other
    assert merged([((), {"delay": "1ms"}), ((), {"rtt": "9ms"})]) == {"delay": "1ms"}


def test_without_a_name_there_is_one_text() -> None:
    for args, said in ((("a", "b"), {}), ((5,), {}), (("delay 1ms",), {"impair": "loss 1%"})):
        with pytest.raises(ValueError, match="without a name there is one text"):
            merged([(args, said)])


def test_words_change_one_by_one() -> None:
    before = {"rtt": "40ms", "loss": 0.01, "seed": 3}
    assert way(changed(before, {"loss": 0.5})).text == "delay 20000us loss 50%"
    assert way(changed(before, {"loss": None, "delay": "1ms"})).text == "delay 1000us"
    with pytest.raises(ValueError, match="seed cannot change on the way"):
        changed(before, {"seed": 4})
    with pytest.raises(ValueError, match="is it loss"):
        changed(before, {"los": 0.5})

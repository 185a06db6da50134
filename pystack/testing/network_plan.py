"""What a network mark says: words such as `rtt="40ms", loss=0.01`, and the network they mean.

The words are those of docs/impairments.md where there are such; docs/testing.md has them all. Every
mistake is a ValueError of one sentence, which names the word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from pystack.aio.devices.impaired import parsed
from pystack.parts.configured import configured
from pystack.path.language import units
from pystack.path.language.spec import Impairment
from pystack.path.language.tokens import listed

RTT: Final = "1ms"  # where nothing is said of it: a network without any is none
SEED: Final = 0
TIMEOUT_S: Final = {False: 3600.0, True: 60.0}  # by whether time is real
WARN, ERROR, ALLOW = "warn", "error", "allow"
LEAKS: Final = (WARN, ERROR, ALLOW)
VIRTUAL, REAL = "virtual", "real"
TIMES: Final = (VIRTUAL, REAL)
_MTU: Final = (68, 65_535)
_MTU6: Final = 1280  # RFC 8200 §5

Said = Mapping[str, Any]


@dataclass(frozen=True)
class NetworkPlan:
    """A network of two hosts. `said` are the words, `seeds` has one for each run, and is empty
    where none is named."""

    said: Said
    impairment: Impairment
    seeds: tuple[int | str, ...] = ()
    real: bool = False
    timeout_s: float = TIMEOUT_S[False]
    mtu: int = 1500
    ipv4: bool = True
    ipv6: bool = True
    sysctl: Mapping[str, str | int] = field(default_factory=dict)
    leaks: str = WARN

    @property
    def words(self) -> str:
        """The way between the hosts, in the words of docs/impairments.md."""
        return self.impairment.text


def merged(marks: Iterable[tuple[Sequence[Any], Said]]) -> dict[str, Any]:
    """The words of several marks, given by their arguments, the closest one first: of each word
    what the closest says. None says that nothing is said."""
    words: dict[str, Any] = {}
    for args, said in marks:
        own = dict(said)
        if args:
            if len(args) > 1 or not isinstance(args[0], str) or "impair" in own:
                raise ValueError(
                    'without a name there is one text at most, such as "delay 20ms loss 1%"'
                )
            own["impair"] = args[0]
        if "rtt" in words or "delay" in words:  # they say the same
            own.pop("rtt", None)
            own.pop("delay", None)
        words = {**own, **words}
    for word in words:
        if word not in WORDS:
            near = difflib.get_close_matches(word, WORDS, 1)
            hint = f"is it {near[0]}?" if near else f"there are {listed(tuple(WORDS))}"
            raise ValueError(f"{word!r} is no word of a network: {hint}")
    return {word: value for word, value in words.items() if value is not None}


def plan(words: Said) -> NetworkPlan:
    """The network that these words mean."""
    real = _one_of("time", words.get("time", VIRTUAL), TIMES) == REAL
    given = words.get("sysctl", {})
    if not isinstance(given, Mapping):
        raise ValueError(f"sysctl={given!r}: a dict was expected, such as {{'tcp_sack': 0}}")
    sysctl = dict(given)
    if "cc" in words:
        sysctl["tcp_congestion_control"] = words["cc"]
    try:
        configured(sysctl)
    except (OSError, TypeError) as error:
        word = "cc" if "cc" in words and "congestion" in str(error) else "sysctl"
        raise ValueError(f"{word}: {error}") from None
    ipv6 = words.get("ipv6")
    if ipv6 not in (None, True, False):
        raise ValueError(f"ipv6={ipv6!r}: True is IPv6 alone, False is IPv4 alone")
    return NetworkPlan(
        said=words,
        impairment=way(words),
        seeds=_seeds(words.get("seed")),
        real=real,
        timeout_s=_seconds("timeout", words["timeout"]) if "timeout" in words else TIMEOUT_S[real],
        mtu=_mtu(words.get("mtu", 1500), ipv6),
        ipv4=ipv6 is not True,
        ipv6=ipv6 is not False,
        sysctl=sysctl,
        leaks=_one_of("leaks", words.get("leaks", WARN), LEAKS),
    )


# -- the way between the hosts -------------------------------------------------------------------
def changed(before: Said, words: Said) -> dict[str, Any]:
    """Words of which some have changed, all of them about the way between the hosts."""
    for word in words:
        if word in WORDS and word not in WAY:
            raise ValueError(f"{word} cannot change on the way: there are {listed(WAY)}")
    return merged([((), words), ((), before)])


def way(words: Said) -> Impairment:
    """The way between the hosts that these words mean."""
    more = words.get("impair", "")
    if not isinstance(more, str):
        raise ValueError(f"impair={more!r}: a text was expected, such as 'delay 20ms loss 1%'")
    texts = _delays(words, says_delay=bool(re.search(r"\bdelay\b", more)))
    for word in ("loss", "reorder", "duplicate", "corrupt"):
        if word in words:
            texts.append(f"{word} {_share(word, words[word])}")
    if "rate" in words:
        texts.append(f"rate {_rate(words['rate'])}")
    if "limit" in words:
        texts.append(f"limit {_amount('limit', words['limit'])}")
    if "queue" in words:
        texts.append(_queue(words["queue"]))
    texts += _both_ways(words)
    return parsed(" ".join([*texts, more]).strip())


def _delays(words: Said, *, says_delay: bool) -> list[str]:
    """`delay …` for both directions; where the µs of a round trip are odd it is said in
    `_both_ways`."""
    if "rtt" in words and "delay" in words:
        raise ValueError("rtt and delay say the same: a delay is that of one direction")
    jitter = f" {_time('jitter', words['jitter'])}us" if "jitter" in words else ""
    if "delay" in words:
        return [f"delay {_time('delay', words['delay'])}us{jitter}"]
    if says_delay:
        if "rtt" in words or jitter:
            raise ValueError(f"{'rtt' if 'rtt' in words else 'jitter'}: impair has a delay as well")
        return []
    return [f"delay {_time('rtt', words.get('rtt', RTT)) // 2}us{jitter}"]


def _both_ways(words: Said) -> list[str]:
    if "rtt" not in words:
        return []
    rtt_us = _time("rtt", words["rtt"])
    if rtt_us % 2 == 0:
        return []
    jitter = f" {_time('jitter', words['jitter'])}us" if "jitter" in words else ""
    return [f"in: delay {rtt_us // 2 + 1}us{jitter} both:"]


def _time(word: str, value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f"{word}={value!r}: a time is a text with a unit, such as '20ms'")
    return _read(word, value, units.time_us)


def _seconds(word: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _read(word, value, units.time_us) / 1e6
    else:
        raise ValueError(f"{word}={value!r}: seconds were expected, or a time such as '30s'")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{word}={value!r}: it must be above 0")
    return seconds


def _share(word: str, value: object) -> str:
    """A probability as a percentage; a text is what netem takes behind the word."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{word}={value!r}: it is a part of 1, such as 0.01, or a text like '1%'")
    return f"{(Decimal(repr(value)) * 100).normalize():f}%"


def _rate(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}bit"
    if not isinstance(value, str):
        raise ValueError(f"rate={value!r}: bits per second, or a text such as '20mbit'")
    return value


def _amount(word: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{word}={value!r}: a number of packets, or a size such as '64kb'")
    return str(value)


def _queue(value: object) -> str:
    """A discipline by its name, or how much waits."""
    text = _amount("queue", value)
    return f"limit {text}" if text[:1].isdecimal() else f"queue {text}"


# -- the rest ------------------------------------------------------------------------------------
def _seeds(value: object) -> tuple[int | str, ...]:
    if value is None:
        return ()
    if isinstance(value, int | str) and not isinstance(value, bool):
        return (value,)
    if isinstance(value, Iterable):
        seeds = tuple(value)
        if seeds and all(isinstance(one, int | str) for one in seeds):
            return seeds
    raise ValueError(f"seed={value!r}: a number, or several such as range(20)")


def _mtu(value: object, ipv6: bool | None) -> int:
    least, most = _MTU
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"mtu={value!r}: bytes, from {least} to {most}")
    if value < _MTU6 and ipv6 is not False:
        raise ValueError(f"mtu={value}: IPv6 needs {_MTU6} at least, say ipv6=False for less")
    return value


def _one_of(word: str, value: object, names: tuple[str, ...]) -> str:
    if value not in names:
        raise ValueError(f"{word}={value!r}: there are {listed(names)}")
    return str(value)


def _read(word: str, value: str, read: Callable[[str], int]) -> int:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{word}={value!r}: {error}") from None


WAY: Final = (
    "rtt", "delay", "jitter", "loss", "reorder", "duplicate", "corrupt", "rate", "limit", "queue",
    "impair",
)  # fmt: skip
WORDS: Final = (
    *WAY, "mtu", "ipv6", "sysctl", "cc", "seed", "time", "timeout", "leaks",
)  # fmt: skip

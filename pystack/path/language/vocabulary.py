"""Step 2: each word of an impairment: which values follow it, and which effects they set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pystack.path.ack_thinning import HOLD_US
from pystack.path.language import units
from pystack.path.language.spec import CODEL, DISCIPLINES, FQ_CODEL, RED, QueueSpec
from pystack.path.language.tokens import Tokens, above_0, listed, one_of
from pystack.path.netem_delay import DISTRIBUTIONS
from pystack.path.queues import traced
from pystack.wire.consts import IPV4_MIN_MTU

Changes = dict[str, Any]  # fields of Effects; and the seed, which belongs to no direction
SEED: Final = "seed"

LATER: Final = ("delay", "reorder", "gap", "loss", "duplicate", "corrupt", "rate", "mtu")
LISTS: Final = ("nth", "outage", "spike")  # may be said several times
_MAX_MTU: Final = 65_535


def _delay(tokens: Tokens) -> Changes:
    """delay TIME [JITTER [CORRELATION]] [distribution uniform|normal]"""
    changes: Changes = {
        "delay_us": tokens.value(units.time_us, "a time, such as 20ms"),
        "jitter_us": tokens.optional(units.time_us, 0),
        "delay_correlation": 0.0,
        "distribution": DISTRIBUTIONS[0],
    }
    if changes["jitter_us"]:
        changes["delay_correlation"] = tokens.optional(units.share, 0.0)
    if tokens.takes("distribution"):
        allowed = " or ".join(DISTRIBUTIONS)
        changes["distribution"] = tokens.value(one_of(DISTRIBUTIONS), f"a name: {allowed}")
        if not changes["jitter_us"]:
            raise ValueError("distribution needs a jitter, as in delay 20ms 2ms")
    return changes


def _reorder(tokens: Tokens) -> Changes:
    """reorder PERCENT [CORRELATION] [gap N]"""
    return {"reorder": tokens.occurrence()}


def _gap(tokens: Tokens) -> Changes:
    """gap N"""
    return {"gap": tokens.value(units.count, "a number of packets, such as 5")}


def _loss(tokens: Tokens) -> Changes:
    """loss [random] PERCENT [CORRELATION], loss gemodel P [R [1-H [1-K]]]"""
    if tokens.takes("gemodel"):
        to_bad = tokens.value(units.share, "the percentage p at least, such as 1%")
        to_good = tokens.optional(units.share, 1 - to_bad)
        bad_loss = tokens.optional(units.share, 1.0)
        return {
            "loss": None,
            "bursts": (to_bad, to_good, bad_loss, tokens.optional(units.share, 0.0)),
        }
    if tokens.takes("state"):
        raise ValueError("loss state is not known here: loss gemodel has bursts too")
    tokens.takes("random")
    return {"loss": tokens.occurrence(), "bursts": None}


def _duplicate(tokens: Tokens) -> Changes:
    """duplicate PERCENT [CORRELATION]"""
    return {"duplicate": tokens.occurrence()}


def _corrupt(tokens: Tokens) -> Changes:
    """corrupt PERCENT [CORRELATION]"""
    return {"corrupt": tokens.occurrence()}


def _rate(tokens: Tokens) -> Changes:
    """rate RATE"""
    return {"rate_bps": tokens.value(units.rate_bps, "a rate, such as 20mbit")}


def _trace(tokens: Tokens) -> Changes:
    """trace FILE"""
    name = tokens.value(str, "a file of Mahimahi's format")
    text = tokens.file_text(name)
    try:
        return {"trace": traced.parsed(text)}
    except ValueError as error:
        raise ValueError(f"trace {name!r}: {error}") from None


def _limit(tokens: Tokens) -> Changes:
    """limit PACKETS, limit SIZE"""
    return {"limit": tokens.amount("a number of packets, or a size such as 150kb")}


def _queue(tokens: Tokens) -> Changes:
    """queue KIND and what belongs to it"""
    kind = tokens.value(one_of(DISCIPLINES), f"a discipline: {listed(DISCIPLINES)}")
    queue = QueueSpec(kind)
    while (option := _option(tokens, kind)) is not None:
        queue = replace(queue, **option)
    return {"queue": queue}


def _option(tokens: Tokens, kind: str) -> Changes | None:
    """One of a discipline's own words, if it comes next."""
    if kind == RED:
        return _red_option(tokens)
    if kind in (CODEL, FQ_CODEL):
        return _codel_option(tokens, kind)
    return None


def _red_option(tokens: Tokens) -> Changes | None:
    for word, name in (("min", "least"), ("max", "most")):
        if tokens.takes(word):
            return {name: tokens.amount(f"a length behind {word}, such as 30 or 45kb")}
    if tokens.takes("burst"):
        return {"burst": tokens.value(units.count, "a number of packets behind burst")}
    if tokens.takes("probability"):
        return {"probability": tokens.value(above_0(units.share), "a percentage, such as 2%")}
    return {"gentle": True} if tokens.takes("gentle") else None


def _codel_option(tokens: Tokens, kind: str) -> Changes | None:
    time = above_0(units.time_us)
    for word in ("target", "interval", "ce_threshold"):
        if tokens.takes(word):
            return {f"{word}_us": tokens.value(time, f"a time behind {word}, such as 5ms")}
    if kind == FQ_CODEL and tokens.takes("quantum"):
        return {"quantum": tokens.amount("a size behind quantum, such as 1514").number}
    if kind == FQ_CODEL and tokens.takes("flows"):
        return {"flows": tokens.value(units.count, "a number of queues, such as 1024")}
    return None


def _ecn(tokens: Tokens) -> Changes:
    """ecn"""
    return {"ecn": True}


def _noecn(tokens: Tokens) -> Changes:
    """noecn"""
    return {"ecn": False}


def _ack_filter(tokens: Tokens) -> Changes:
    """ack-filter"""
    return {"ack_filter": True}


def _ack_thin(tokens: Tokens) -> Changes:
    """ack-thin N [TIME]"""
    return {
        "ack_thin": tokens.value(lambda text: units.count(text, 2), "a number, such as 4"),
        "ack_hold_us": tokens.optional(above_0(units.time_us), HOLD_US),
    }


def _nth(tokens: Tokens) -> Changes:
    """nth N[,N]..."""
    return {"nth": tokens.value(_counts, "the number of a packet, such as 17 or 17,30")}


def _outage(tokens: Tokens) -> Changes:
    """outage START LENGTH [every PERIOD]"""
    return {"outages": tokens.intervals()}


def _spike(tokens: Tokens) -> Changes:
    """spike START LENGTH [every PERIOD]"""
    return {"spikes": tokens.intervals()}


def _mtu(tokens: Tokens) -> Changes:
    """mtu BYTES [silent]"""
    mtu = tokens.value(lambda text: units.count(text, IPV4_MIN_MTU), "bytes, such as 1280")
    if mtu > _MAX_MTU:
        raise ValueError(f"mtu {mtu}: no packet is larger than {_MAX_MTU}")
    return {"mtu": mtu, "mtu_silent": tokens.takes("silent")}


def _seed(tokens: Tokens) -> Changes:
    """seed N"""
    return {SEED: tokens.value(lambda text: units.count(text, 0), "a number, such as 7")}


def _counts(text: str) -> tuple[int, ...]:
    return tuple(units.count(part) for part in text.split(","))


WORDS: Final[dict[str, Callable[[Tokens], Changes]]] = {
    "delay": _delay,
    "reorder": _reorder,
    "gap": _gap,
    "loss": _loss,
    "duplicate": _duplicate,
    "corrupt": _corrupt,
    "rate": _rate,
    "trace": _trace,
    "limit": _limit,
    "queue": _queue,
    "ecn": _ecn,
    "noecn": _noecn,
    "ack-filter": _ack_filter,
    "ack-thin": _ack_thin,
    "nth": _nth,
    "outage": _outage,
    "spike": _spike,
    "mtu": _mtu,
    "seed": _seed,
}

"""What a route asks of the connections that go by it: the metrics of `ip route`, in its words.

    10.0.0.0/8 mtu lock 1400 advmss 1300 initcwnd 20 rto_min 50ms quickack 1 congctl reno

Only what Linux' own TCP heeds by its default settings is taken; the way out is the device alone, so
there is no `via` and no `dev`. `addresses` keeps the routes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pystack.compiling import mypyc_attr
from pystack.wire import address

_MTU_MOST: Final = 65535 - 15  # Linux lowers larger numbers to these
_ADVMSS_MOST: Final = 65535 - 40
_HOPLIMIT_MOST: Final = 255
_LARGEST: Final = 0xFFFF_FFFF
_EVERYTHING: Final = ("0.0.0.0/0", "::/0")
_UNITS_US: Final = {"us": 1, "usec": 1, "usecs": 1, "ms": 1000, "msec": 1000, "msecs": 1000,
                    "s": 1_000_000, "sec": 1_000_000, "secs": 1_000_000}  # fmt: skip
_NOT_TAKEN: Final = {
    "via": "the device is the one way out",
    "dev": "the device is the one way out",
    "src": "addresses are chosen by their prefixes",
    "rtt": "it is measured anew by each connection",
    "rttvar": "it is measured anew by each connection",
    "ssthresh": "Linux does not heed it by default (tcp_no_ssthresh_metrics_save)",
    "cwnd": "there is no bound of the congestion window",
    "reordering": "it is found out by each connection",
    "fastopen_no_cookie": "TCP_FASTOPEN_NO_COOKIE is a socket's option",
}


@mypyc_attr(native_class=False)  # mypyc does not know slots=True
@dataclass(slots=True)
class RouteMetrics:
    """The metrics of one route; 0 or "" is none. Written by `parse` alone."""

    mtu: int = 0  # octets of the largest packet
    mtu_locked: bool = False  # ICMP does not lower it, and packets go without DF (Linux)
    advmss: int = 0  # what the MSS option says
    initcwnd: int = 0  # segments
    initrwnd: int = 0  # segments of the first window that is offered
    rto_min_us: int = 0
    quickack: bool = False  # no ACK is delayed
    congctl: str = ""
    congctl_locked: bool = False  # TCP_CONGESTION is refused
    hoplimit: int = 0
    window: int = 0  # octets: the largest window that is offered
    ecn: bool = False  # asked for, and agreed to, whatever `tcp_ecn` says


class _Words:
    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.at = 0

    def value(self, of: str) -> str:
        if self.at == len(self.words):
            raise ValueError(f"{of} has no value")
        self.at += 1
        return self.words[self.at - 1]

    def takes_lock(self) -> bool:
        if self.words[self.at : self.at + 1] == ["lock"]:
            self.at += 1
            return True
        return False

    def number(self, of: str, most: int = _LARGEST) -> int:
        text = self.value(of)
        if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST:
            raise ValueError(f"{of} {text!r}: a number was expected")
        return min(int(text), most)


def _mtu(metrics: RouteMetrics, words: _Words) -> None:
    metrics.mtu_locked = words.takes_lock()
    metrics.mtu = words.number("mtu", _MTU_MOST)
    if metrics.mtu and metrics.mtu < 68:
        raise ValueError(f"mtu {metrics.mtu}: it is 68 at least")


def _advmss(metrics: RouteMetrics, words: _Words) -> None:
    words.takes_lock()
    metrics.advmss = words.number("advmss", _ADVMSS_MOST)


def _initcwnd(metrics: RouteMetrics, words: _Words) -> None:
    words.takes_lock()
    metrics.initcwnd = words.number("initcwnd")


def _initrwnd(metrics: RouteMetrics, words: _Words) -> None:
    words.takes_lock()
    metrics.initrwnd = words.number("initrwnd")


def _rto_min(metrics: RouteMetrics, words: _Words) -> None:
    words.takes_lock()
    text = words.value("rto_min")
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS_US.get(text[len(number) :] or "ms")
    try:
        us = round(float(number) * unit) if unit else -1
    except (ValueError, OverflowError):
        us = -1
    if us < 0:
        raise ValueError(f"rto_min {text!r}: a time such as 50ms was expected")
    metrics.rto_min_us = us


def _quickack(metrics: RouteMetrics, words: _Words) -> None:
    words.takes_lock()
    text = words.value("quickack")
    if text not in ("0", "1"):
        raise ValueError(f"quickack {text!r}: 0 or 1 was expected")
    metrics.quickack = text == "1"


def _congctl(metrics: RouteMetrics, words: _Words) -> None:
    metrics.congctl_locked = words.takes_lock()
    metrics.congctl = words.value("congctl")


def _hoplimit(metrics: RouteMetrics, words: _Words) -> None:
    words.takes_lock()
    metrics.hoplimit = words.number("hoplimit", _HOPLIMIT_MOST)


def _window(metrics: RouteMetrics, words: _Words) -> None:
    words.takes_lock()
    metrics.window = words.number("window")


def _features(metrics: RouteMetrics, words: _Words) -> None:
    text = words.value("features")
    if text != "ecn":
        raise ValueError(f"features {text!r}: ecn is the one that is known")
    metrics.ecn = True


_WORDS: Final[dict[str, Callable[[RouteMetrics, _Words], None]]] = {
    "mtu": _mtu, "advmss": _advmss, "initcwnd": _initcwnd, "initrwnd": _initrwnd,
    "rto_min": _rto_min, "quickack": _quickack, "congctl": _congctl, "hoplimit": _hoplimit,
    "window": _window, "features": _features,
}  # fmt: skip


def parse(text: str) -> tuple[list[tuple[bytes, int]], RouteMetrics | None]:
    """The networks of a route ("default" is one of each family), as `wire.address.network` has
    them, and its metrics, None without any. Raises ValueError with one line that says what is
    wrong."""
    words = _Words(text.split())
    where = words.words[0] if words.words else ""
    networks = [address.network(net) for net in (_EVERYTHING if where == "default" else (where,))]
    words.at = 1
    if len(words.words) == 1:
        return networks, None
    metrics = RouteMetrics()
    while words.at < len(words.words):
        word = words.value("")
        known = _WORDS.get(word)
        if known is None:
            raise ValueError(_unknown(word))
        known(metrics, words)
    return networks, metrics


def _unknown(word: str) -> str:
    if word in _NOT_TAKEN:
        return f"{word} is not taken of a route: {_NOT_TAKEN[word]}"
    close = get_close_matches(word, _WORDS, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_WORDS)}"
    return f"{word!r} is no metric of a route: {hint}"

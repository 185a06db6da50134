"""Numbers with units as tc writes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pystack.path.language import units


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("20mbit", 20_000_000), ("1.5Mbit", 1_500_000), ("64kbit", 64_000), ("1gbit", 10**9),
        ("9600", 9600), ("9600bit", 9600), ("1mibit", 1_048_576), ("100kbps", 800_000),
        ("1mbps", 8_000_000), ("1kibps", 8192), ("8bps", 64), ("1tbit", 10**12),
    ],
)  # fmt: skip
def test_rates(text: str, bits: int) -> None:
    assert units.rate_bps(text) == bits


@pytest.mark.parametrize(
    ("text", "us"),
    [("20ms", 20_000), ("1.5s", 1_500_000), ("7us", 7), ("3msecs", 3_000), ("2sec", 2_000_000),
     ("0", 0), ("0ms", 0), ("1500ns", 2), (".5ms", 500), ("5.ms", 5_000)],
)  # fmt: skip
def test_times(text: str, us: int) -> None:
    assert units.time_us(text) == us


@pytest.mark.parametrize(
    ("text", "octets"),
    [("1500", (1500, False)), ("1500b", (1500, True)), ("64k", (65_536, True)),
     ("64kb", (65_536, True)), ("1.5mb", (1_572_864, True)), ("2g", (2 << 30, True))],
)  # fmt: skip
def test_sizes(text: str, octets: tuple[int, bool]) -> None:
    assert units.size(text) == octets


@pytest.mark.parametrize(
    ("text", "part"), [("1%", 0.01), ("0.1%", 0.001), ("25", 0.25), ("100%", 1.0), ("0", 0.0)]
)
def test_percentages(text: str, part: float) -> None:
    assert units.share(text) == part


def test_whole_numbers() -> None:
    assert units.count("17") == 17
    assert units.count("0", 0) == 0


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (units.rate_bps, "fast", "kbit, mbit or gbit"),
        (units.rate_bps, "20ms", "kbit, mbit or gbit"),
        (units.rate_bps, "-1mbit", "kbit, mbit or gbit"),
        (units.rate_bps, "0mbit", "1bit at least"),
        (units.time_us, "20", "a number with us, ms or s"),
        (units.time_us, "20min", "a number with us, ms or s"),
        (units.time_us, "1e3ms", "a number with us, ms or s"),
        (units.time_us, "", "a number with us, ms or s"),
        (units.size, "64kbit", "a number of bytes"),
        (units.share, "101%", "between 0% and 100%"),
        (units.share, "1ms", "between 0% and 100%"),
        (units.share, "-1%", "between 0% and 100%"),
        (units.share, "nan", "between 0% and 100%"),
        (units.count, "0", "from 1 on"),
        (units.count, "1.5", "from 1 on"),
        (units.count, "²", "from 1 on"),
    ],
)
def test_what_is_none_is_refused(read: Callable[[str], object], text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text)

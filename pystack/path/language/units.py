"""Numbers with units, as tc writes them: 20mbit, 20ms, 64kb, 1%.

All functions raise ValueError, which says what would have been right. Fractions are exact.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_NUMBER: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(.*)", re.ASCII)

# tc's own: bits per second for …bit, octets per second for …bps; "i" makes it powers of 1024
_RATES: Final = {
    prefix + suffix: factor * base**power
    for suffix, factor in (("bit", 1), ("bps", 8))
    for power, letter in enumerate(("", "k", "m", "g", "t"))
    for prefix, base in ((letter, 1000), (f"{letter}i" if letter else "", 1024))
}
_TIMES_US: Final = {
    name: factor
    for names, factor in (
        ("us usec usecs", Fraction(1)),
        ("ms msec msecs", Fraction(1000)),
        ("s sec secs", Fraction(1_000_000)),
        ("ns nsec nsecs", Fraction(1, 1000)),
    )
    for name in names.split()
}
_SIZES: Final = {
    "b": 1, "k": 1024, "kb": 1024, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30,
}  # fmt: skip


def rate_bps(text: str) -> int:
    """Bits per second of "20mbit"; "1mbps" is a million octets a second, as with tc."""
    number, unit = _split(text)
    if number is None or (unit and unit not in _RATES):
        raise ValueError("a rate is a number with kbit, mbit or gbit, such as 20mbit")
    rate = number * _RATES[unit or "bit"]
    if rate < 1:
        raise ValueError("a rate is 1bit at least")
    return int(rate)


def time_us(text: str) -> int:
    """µs of "20ms"; only 0 goes without a unit."""
    number, unit = _split(text)
    if number is None or (unit not in _TIMES_US and (unit or number)):
        raise ValueError("a time is a number with us, ms or s, such as 20ms")
    return round(number * _TIMES_US.get(unit, 1))


def size(text: str) -> tuple[int, bool]:
    """Octets of "64kb", and whether there was a unit; k and kb are 1024 octets, as with tc."""
    number, unit = _split(text)
    if number is None or (unit and unit not in _SIZES):
        raise ValueError("a size is a number of bytes, or one with b, kb or mb, such as 64kb")
    return int(number * _SIZES[unit or "b"]), bool(unit)


def share(text: str) -> float:
    """The part of 1 that "25%" is; a bare number is a percentage too."""
    number, unit = _split(text)
    if number is None or unit not in ("", "%") or number > 100:
        raise ValueError("a percentage lies between 0% and 100%, such as 1%")
    return float(number / 100)


def count(text: str, least: int = 1) -> int:
    """A whole number."""
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise ValueError(f"a whole number from {least} on was expected")
    return int(text)


def _split(text: str) -> tuple[Fraction | None, str]:
    match = _NUMBER.fullmatch(text)
    return (Fraction(match[1].rstrip(".")), match[2].lower()) if match else (None, "")

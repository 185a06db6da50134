"""A report for the error queue (IP_RECVERR) of TCP and UDP: what went wrong on the way."""

from __future__ import annotations

from typing import Final

Report = tuple[int, int, int, int, int, bytes]  # errno, origin, type, code, info, offender

ORIGIN_LOCAL: Final = 1  # SO_EE_ORIGIN_LOCAL
ORIGIN_ICMP: Final = 2
ORIGIN_ICMP6: Final = 3

"""A report for the error queue of TCP and UDP: what went wrong on the way (IP_RECVERR), and what
has left or was copied (SO_TIMESTAMPING, MSG_ZEROCOPY)."""

from __future__ import annotations

from typing import Final

# errno, origin, type, code, info, offender, data, and when it was (of a timestamp alone, else 0)
Report = tuple[int, int, int, int, int, bytes, int, int]

ORIGIN_LOCAL: Final = 1  # SO_EE_ORIGIN_LOCAL
ORIGIN_ICMP: Final = 2
ORIGIN_ICMP6: Final = 3
ORIGIN_TIMESTAMPING: Final = 4
ORIGIN_ZEROCOPY: Final = 5
OF_NETWORK: Final = frozenset((ORIGIN_ICMP, ORIGIN_ICMP6))  # whose errno is a call's error too

COPIED: Final = 1  # SO_EE_CODE_ZEROCOPY_COPIED

# what a timestamp is of: `info`
STAMP_SENT: Final = 0  # SCM_TSTAMP_SND: it has left
STAMP_SCHEDULED: Final = 1  # SCM_TSTAMP_SCHED: it was given to be sent
STAMP_ACKED: Final = 2  # SCM_TSTAMP_ACK: the peer has it

# of SO_TIMESTAMPING's flags those that ask for a timestamp of what is sent
TX_SOFTWARE: Final = 1 << 1
TX_SCHED: Final = 1 << 8
TX_ACK: Final = 1 << 9
STAMP_ONLY: Final = 1 << 11  # SOF_TIMESTAMPING_OPT_TSONLY: without the packet

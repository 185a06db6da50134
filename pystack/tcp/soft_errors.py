"""What a connection tells its user without ending: ICMP, many retransmissions (R1).

Writes `soft_error` and `reports`. RFC 9293 §3.9.1.8 (MUST-47, SHLD-25), as Linux's error
queue (IP_RECVERR); without that option only `soft_error` is kept, and given as the reason
should the connection time out.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pystack.events import EVENT_SOFT_ERROR
from pystack.ip.reports import ORIGIN_LOCAL, Report
from pystack.tcp.tcb import Tcb

_MOST: Final = 64  # reports kept unread


def report(
    tcb: Tcb, error: int, origin: int, kind: int, code: int, info: int, offender: bytes
) -> None:
    """Note a soft error: errno, origin, ICMP type and code, information, offender."""
    if origin != ORIGIN_LOCAL:
        tcb.soft_error = error  # ours is no error yet: SO_ERROR is not to show it
    if not tcb.user.recverr:
        return
    if tcb.reports is None:
        tcb.reports = deque(maxlen=_MOST)
    tcb.reports.append((error, origin, kind, code, info, offender, 0, 0))
    tcb.events |= EVENT_SOFT_ERROR


def tell(tcb: Tcb, report: Report) -> None:
    """Queue what is no error: a timestamp, the end of a MSG_ZEROCOPY."""
    if tcb.reports is None:
        tcb.reports = deque(maxlen=_MOST)
    tcb.reports.append(report)
    tcb.events |= EVENT_SOFT_ERROR


def replace_last(tcb: Tcb, report: Report) -> None:
    """The newest report, which there is, says more now."""
    assert tcb.reports is not None
    tcb.reports[-1] = report
    tcb.events |= EVENT_SOFT_ERROR


def clear(tcb: Tcb) -> None:
    """What was sent is acknowledged: the soft error is over (Linux)."""
    tcb.soft_error = 0


def take_soft_error(tcb: Tcb) -> int:
    """The last soft error, forgotten by this call."""
    error = tcb.soft_error
    tcb.soft_error = 0
    return error


def take_report(tcb: Tcb) -> Report | None:
    """The oldest unread report, removed; None when there is none."""
    return tcb.reports.popleft() if tcb.reports else None

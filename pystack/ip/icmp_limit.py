"""How many ICMP errors may leave: Linux's two token buckets (RFC 1812 §4.3.2.8, RFC 4443 §2.4).

One bucket for all of them (`icmp_msgs_per_sec`, with bursts of `icmp_msgs_burst`) and one per
target: a message every `icmp_ratelimit` ms, with six saved up at most. Both start full. Echo
replies never come here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pystack.config import Config

BURST_PER_TARGET: Final = 6  # Linux's XRLIM_BURST_FACTOR
MAX_TARGETS: Final = 1024  # the one unused for longest makes room
MESSAGE: Final = 1_000_000  # one message in the credit's unit: messages per second times µs


class IcmpLimit:
    """Asked once per error about to be made."""

    __slots__ = ("config", "_credit", "_credit_at_us", "_targets")

    def __init__(self, config: Config) -> None:
        self.config = config
        self._credit = -1  # not yet asked: full
        self._credit_at_us = 0
        self._targets: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def take(self, target: bytes, now_us: int) -> bool:
        """Whether an error may go to `target` (16 bytes) now; if so it is counted as sent."""
        config = self.config
        full = config.icmp_msgs_burst * MESSAGE
        earned = (now_us - self._credit_at_us) * config.icmp_msgs_per_sec
        self._credit = full if self._credit < 0 else min(self._credit + earned, full)
        self._credit_at_us = now_us
        # The common bucket is charged only for what the target's bucket lets through.
        if self._credit < MESSAGE or not self._take_from_target(target, now_us):
            return False
        self._credit -= MESSAGE
        return True

    def _take_from_target(self, target: bytes, now_us: int) -> bool:
        """The same for the bucket of one target, which is counted in µs of waiting."""
        price = self.config.icmp_ratelimit * 1000
        if not price:
            return True
        full = BURST_PER_TARGET * price
        saved, at_us = self._targets.get(target, (full, now_us))
        saved = min(saved + now_us - at_us, full)
        allowed = saved >= price
        self._targets[target] = (saved - price if allowed else saved, now_us)
        self._targets.move_to_end(target)
        if len(self._targets) > MAX_TARGETS:
            self._targets.popitem(last=False)
        return allowed

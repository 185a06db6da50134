"""What all connections of one stack share: counters, bytes held, the challenge-ACK budget.

A TCB points to its stack's `Shared`; nothing here knows a connection.
"""

from __future__ import annotations

from pystack.config import Config
from pystack.counters import Counters


class Memory:
    """How many bytes of text all buffers of a stack hold: the one place where it is counted."""

    __slots__ = ("held_bytes",)

    def __init__(self) -> None:
        self.held_bytes = 0


class Shared:
    """One per stack."""

    __slots__ = ("config", "counters", "memory", "_challenges_left", "_challenges_until_us")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.counters = Counters()
        self.memory = Memory()
        self._challenges_left = 0
        self._challenges_until_us = 0

    def take_challenge(self, now_us: int) -> bool:
        """Whether the stack may send one more challenge ACK in this second (RFC 5961 §7)."""
        if now_us >= self._challenges_until_us:
            self._challenges_until_us = now_us + 1_000_000
            self._challenges_left = self.config.tcp_challenge_ack_limit
        if self._challenges_left <= 0:
            return False
        self._challenges_left -= 1
        self.counters.challenge_acks += 1
        return True

"""What all connections of one stack share: counters, bytes held, the challenge-ACK budget.

A TCB points to its stack's `Shared`; nothing here knows a connection.
"""

from __future__ import annotations

from pystack.cc.base import AckSample
from pystack.config import Config
from pystack.counters import Counters
from pystack.ip.keyed_hash import keyed_hash
from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.state.fastopen_cache import FastOpenCache


class Memory:
    """How many bytes of payload all buffers of a stack hold: the one place where it is counted.
    `state.sendbuf` and `state.recvbuf` write one variable each."""

    __slots__ = ("receive_bytes", "send_bytes")

    def __init__(self) -> None:
        self.receive_bytes = 0
        self.send_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Both together."""
        return self.receive_bytes + self.send_bytes


class Shared:
    """One per stack."""

    __slots__ = (
        "config", "secret", "counters", "memory", "fast_opens", "sample", "ack_result",
        "_challenges_left", "_challenges_until_us",
    )  # fmt: skip

    def __init__(self, config: Config, secret: bytes) -> None:
        """`secret` keys what outsiders must not guess."""
        self.config = config
        self.secret = secret
        self.counters = Counters()
        self.sample = AckSample()  # these two are of the ACK being taken
        self.ack_result = AckResult()
        self.memory = Memory()
        self.fast_opens = FastOpenCache(config)
        self._challenges_left = 0
        self._challenges_until_us = 0

    def take_challenge(self, now_us: int) -> bool:
        """Whether the stack may send one more challenge ACK in this second (RFC 5961 §7).

        The limit of each second is a random number from half of it to one and a half, so that a
        peer cannot count the challenge ACKs that others were sent (CVE-2016-5696, as Linux).
        """
        if now_us >= self._challenges_until_us:
            self._challenges_until_us = now_us + 1_000_000
            limit = self.config.tcp_challenge_ack_limit
            chance = keyed_hash(self.secret, now_us.to_bytes(8, "big"), b"challenges")
            self._challenges_left = (limit >> 1) + chance % max(limit, 1)
        if self._challenges_left <= 0:
            return False
        self._challenges_left -= 1
        self.counters.challenge_acks += 1
        return True

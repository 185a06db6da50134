"""What a stack knows of the link that its device is on, whatever the device is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LinkState:
    """A device as others see it now: whether it is `present` and `up`, its `mtu` in bytes.

    All of it is zero once it is gone for good.
    """

    present: bool
    up: bool
    mtu: int


GONE: Final = LinkState(present=False, up=False, mtu=0)

"""The parts of TCP that can be replaced: how they are known, made, guarded and blamed.

The base classes below, by kind, are what `pystack.register_variant` takes; that of congestion
controls is `pystack.cc.CongestionControl`. What the built-in parts do stands in `tcp.policies`,
`tcp.timing` and `cc`.

`variants` has the kinds, the names and what makes a part of each; `entry_points` finds those of
installed packages, `configured` checks the settings that choose them. `guard` makes a `PartError`
of what a user's part raises, and `faults` says which part is at fault.

This folder stays Python where the core is compiled: it looks things up by name and makes classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pystack.lazy import names_of

if TYPE_CHECKING:
    from pystack.parts.variants import register_variant
    from pystack.tcp.policies.contracts import (
        NOW,
        AckPolicy,
        InitialWindow,
        LossDetection,
        NaglePolicy,
        Pacing,
        RttEstimator,
    )
    from pystack.tcp.policies.experimental_option import ExperimentalOption
    from pystack.tcp.policies.isn import IsnGenerator
    from pystack.tcp.policies.rtt_estimators import smooth

__all__ = [
    "AckPolicy", "ExperimentalOption", "InitialWindow", "IsnGenerator", "LossDetection", "NOW",
    "NaglePolicy", "Pacing", "RttEstimator", "register_variant", "smooth",
]  # fmt: skip

_HOMES: Final = {
    "AckPolicy": "tcp.policies.contracts",
    "ExperimentalOption": "tcp.policies.experimental_option",
    "InitialWindow": "tcp.policies.contracts",
    "IsnGenerator": "tcp.policies.isn",
    "LossDetection": "tcp.policies.contracts",
    "NOW": "tcp.policies.contracts",
    "NaglePolicy": "tcp.policies.contracts",
    "Pacing": "tcp.policies.contracts",
    "RttEstimator": "tcp.policies.contracts",
    "register_variant": "parts.variants",
    "smooth": "tcp.policies.rtt_estimators",
}
__getattr__, __dir__ = names_of(__name__, _HOMES)

"""pystack: a TCP stack in Python that talks to Linux over a TUN device.

`Stack` is asyncio's way in, `Host` the sans-IO core with BSD socket calls, `Config` its settings,
`Recorder` notes how a connection fares, `SetupError` is what goes wrong before it runs;
`register_variant` brings parts of one's own. Each is imported when it is first asked for, so that
the core can be had without asyncio and the device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pystack.aio.endpoint.stack import Stack
    from pystack.config import Config
    from pystack.errors import SetupError
    from pystack.parts.variants import register_variant
    from pystack.recorder import Recorder
    from pystack.sockets.host import Host

__all__ = [
    "Config", "Host", "Recorder", "SetupError", "Stack", "__version__", "register_variant",
]  # fmt: skip
__version__ = "0.1.0"

_HOMES: Final = {
    "Config": "pystack.config",
    "Host": "pystack.sockets.host",
    "Recorder": "pystack.recorder",
    "SetupError": "pystack.errors",
    "Stack": "pystack.aio.endpoint.stack",
    "register_variant": "pystack.parts.variants",
}
_PACKAGES: Final = ("aio", "cc", "path", "sim", "sockets", "testing")  # as attributes


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])

"""pystack: a TCP stack in Python that talks to Linux over a TUN device.

`Stack` is asyncio's way in, `Host` the sans-IO core with BSD socket calls, `Config` its settings.
`Recorder` records how a connection fares, `SetupError` is what goes wrong before it runs, and
`register_variant` adds parts of TCP of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pystack.lazy import names_of

if TYPE_CHECKING:
    from pystack.aio.endpoint.stack import Stack
    from pystack.config import Config
    from pystack.errors import SetupError
    from pystack.parts.variants import register_variant
    from pystack.recorder import Recorder
    from pystack.sockets.whole_host.host import Host

__all__ = [
    "Config", "Host", "Recorder", "SetupError", "Stack", "__version__", "register_variant",
]  # fmt: skip
__version__ = "0.1.0"

_PACKAGES: Final = ("aio", "cc", "parts", "path", "sim", "sockets", "testing")  # as attributes
_HOMES: Final = {
    "Config": "config",
    "Host": "sockets.whole_host.host",
    "Recorder": "recorder",
    "SetupError": "errors",
    "Stack": "aio.endpoint.stack",
    "register_variant": "parts.variants",
}
__getattr__, __dir__ = names_of(__name__, _HOMES, _PACKAGES)

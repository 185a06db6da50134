"""The versions that a page of docs/evidence was made with: a line in its head.

Pages that tests hold to what makes them are compared without it, as it differs by machine.
"""

from __future__ import annotations

import platform
import re
import ssl
from typing import Final

_LINE: Final = re.compile(r"^Versions: .*\.\n\n?", re.MULTILINE)


def versions() -> str:
    """Those of this process and machine."""
    openssl = " ".join(ssl.OPENSSL_VERSION.split()[:2])
    kernel = re.match(r"[\d.]*\d", platform.release())
    return (
        f"Python {platform.python_version()}, {openssl}, "
        f"{platform.system()} {kernel[0] if kernel else platform.release()}"
    )


def line(of: str) -> str:
    """The line; `of` is what `versions()` gave where the page was made."""
    return f"Versions: {of}."


def without_versions(page: str) -> str:
    """The page less that line."""
    return _LINE.sub("", page)

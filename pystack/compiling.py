"""What mypyc, which compiles the core if asked to (docs/architecture.md), has to be told.

`@mypyc_attr(allow_interpreted_subclasses=True)` keeps a compiled class open to users' own, at the
price of a look-up per call. Without mypyc it does nothing, and nothing has to be installed.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**_):
        return lambda cls: cls


def is_compiled() -> bool:
    """Whether this process takes the core as compiled code."""
    spec = find_spec("pystack.tcp.output.output")
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")

"""The base of what can be replaced in a connection, congestion control apart (`cc.base`).

Which parts there are and by which names is `stack.variants`. A part may read the whole TCB and
keeps its own variables in itself; what it wants done it returns, or marks where its class says so.
"""

from __future__ import annotations

from typing import ClassVar

from pystack.compiling import mypyc_attr
from pystack.printed import printed


@mypyc_attr(allow_interpreted_subclasses=True)
class Part:
    """One replaceable part, open to users' classes.

    `shared`: it remembers nothing of a connection, so one object serves them all. `name` is what
    it was asked for by, set by who makes it.
    """

    shared: ClassVar[bool] = False

    __slots__ = ("name",)

    name: str

    def __repr__(self) -> str:
        return printed(self, lambda: repr(self.name))

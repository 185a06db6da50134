"""The base of all parts that can be replaced."""

from __future__ import annotations

from typing import ClassVar

from pystack.compiling import mypyc_attr
from pystack.printed import printed


@mypyc_attr(allow_interpreted_subclasses=True)
class Part:
    """One replaceable part, open to users' classes.

    `shared`: it remembers nothing of a connection, so one object serves them all. `name` is what
    it was asked for by, set where it is made.
    """

    shared: ClassVar[bool] = False

    __slots__ = ("name",)

    name: str

    def __repr__(self) -> str:
        return printed(self, lambda: repr(self.name))

"""A user's replaceable part is guarded: what it raises becomes a `PartError` that names the part.

The guard is a subclass of the part's own class, with the same name and no variables of its own. So
the object is the user's, with all that the class has, and `isinstance` says so. Each call of the
contract (the public methods of its kind's base class) goes through it, overridden or not. Parts
that come with pystack are not guarded, and cost nothing.

A wrapper around the object would hide its variables; the frames of a traceback would tell nothing
of compiled code, which has none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from pystack.errors import PartError

_MARK: Final = "__guards__"  # in the class's own dict: the words for its kind


def is_guarded(part: object) -> bool:
    """Whether `part` is a user's, made by `guarded`."""
    return _MARK in vars(type(part))


def guarded(words: str, base: type, factory: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    """What `factory(*given)` makes, guarded unless pystack has brought its class. `words` is what
    its kind is called, `base` has the calls of the contract.

    Raises what the factory raises, and TypeError for a class that cannot have a subclass.
    """
    if isinstance(factory, type) and issubclass(factory, base):
        return _class_for(words, base, factory)(*given)
    part = factory(*given)
    if isinstance(part, base):  # nobody has seen the object yet
        cls = _class_for(words, base, type(part))
        if cls is not type(part):
            part.__class__ = cls
    return part


def _class_for(words: str, base: type, cls: type) -> type:
    if cls.__module__.partition(".")[0] == "pystack" or _MARK in vars(cls):
        return cls
    subclasses: list[type] = cls.__subclasses__()
    for made in subclasses:
        if vars(made).get(_MARK) == words:
            return made
    own = {
        "__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__, _MARK: words,
    }  # fmt: skip
    new: type = type(cls)(cls.__name__, (cls,), own)
    for name in calls_of(base):
        setattr(new, name, _guarding(new, words, name))
    return new


def calls_of(base: type) -> list[str]:
    """The names of the public methods of a base class, its own and those it inherits."""
    return [
        name for name in dir(base) if not name.startswith("_") and callable(getattr(base, name))
    ]


def _guarding(cls: type, words: str, name: str) -> Callable[..., Any]:
    @wraps(getattr(cls, name))
    def call(self: Any, *given: Any, **named: Any) -> Any:
        try:
            return getattr(super(cls, self), name)(*given, **named)  # of any sort, and patched ones
        except PartError:
            raise  # another part that it has called
        except Exception as error:
            raise PartError(words, getattr(self, "name", ""), error, self) from error

    return call

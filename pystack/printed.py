"""How objects print themselves: one line in angle brackets, whatever state they are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def printed(thing: object, words: Callable[[], str], name: str = "") -> str:
    """`<Name words>` for a `__repr__`. `words` may raise, as on an object that is still being
    made or is half gone; `name` goes for that of the class."""
    name = name or type(thing).__name__
    try:
        said = words()
    except Exception:  # who prints an object looks for a fault, and is not to meet another one
        return f"<{name} unfinished>"
    return f"<{name} {' '.join(said.splitlines())}>" if said else f"<{name}>"


def counted(counts: Mapping[str, int]) -> str:
    """Counts by name, those that are 0 left out."""
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def attributes(thing: object) -> str:
    """The public numbers and texts of an object, in the order in which they were set."""
    return ", ".join(
        f"{name} {value}"
        for name, value in vars(thing).items()
        if not name.startswith("_") and isinstance(value, (int, float, str))
    )


def several(number: int, what: str) -> str:
    """How many there are: "1 connection", "3 connections"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

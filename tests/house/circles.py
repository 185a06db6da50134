"""Circles in a graph of arrows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def circles(arrows: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """The sets of names that lead to each other, largest possible (Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(name: str) -> Iterator[list[str]]:
        order[name] = lowest[name] = len(order)
        path.append(name)
        for other in sorted(arrows.get(name, ())):
            if other not in order:
                yield from visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in path:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            circle = path[path.index(name):]
            del path[path.index(name):]
            if len(circle) > 1:
                yield circle

    for name in sorted(arrows):
        if name not in order:
            yield from visit(name)

"""Counts in one place, and prints the ways as JSON: a process that has nothing else in it.

    python -m scripts.call_counts.child PLACE FOLDER

FOLDER is the checkout whose pystack is counted, which needs not be this one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from scripts.call_counts.places import HOST, NOT_ON_A_HOST, OPERATIONS, STACK
from scripts.call_counts.steps import Counter, Step
from scripts.tree import use

if TYPE_CHECKING:
    from scripts.call_counts.link import Link
    from scripts.call_counts.on_loop import Doors

_WARM_UP: Final = 8  # times, after which nothing is done for the first time any more

_PROGRAM: Final = "scripts.call_counts.program"

Ways = dict[str, list[Step]]


def on_host(counter: Counter) -> Ways:
    """Without a loop."""
    from scripts.call_counts.on_host import TwoHosts

    hosts = TwoHosts(counter)
    ways: Ways = {}
    for operation in OPERATIONS:
        if operation.name in NOT_ON_A_HOST:
            continue
        for _ in range(_WARM_UP):
            ways[operation.name] = getattr(hosts, operation.method)()
            hosts.settle()
    return ways


def on_stack(counter: Counter, link: Link) -> Ways:
    """On a `Stack` of one's own."""
    from pystack import Stack
    from scripts.call_counts.link import OWN, PREFIX, SECRET
    from scripts.call_counts.on_loop import Doors

    async def main() -> Ways:
        device: Any = link
        opened = Stack.over(device, f"{OWN}/{PREFIX}", clock=link.clock, secret=SECRET, grace=0.0)
        async with opened as stack:
            doors = Doors(
                stack.socket, stack.create_connection, stack.create_server,
                stack.create_datagram_endpoint,
            )  # fmt: skip
            return await _counted(doors, link, counter)

    return asyncio.run(main())


def under_run(counter: Counter, link: Link) -> Ways:
    """Under `pystack run`, whose device is `link` and not one of the kernel's."""
    import pystack
    from pystack.cli.main import main
    from scripts.call_counts import on_loop
    from scripts.call_counts.link import OWN, PREFIX, SECRET

    stack_class: Any = pystack.Stack

    def over_tun(*_: Any, **__: Any) -> Any:
        return stack_class.over(link, f"{OWN}/{PREFIX}", clock=link.clock, secret=SECRET, grace=0.0)

    stack_class.over_tun = over_tun
    ways: Ways = {}

    async def body(doors: Doors) -> None:
        ways.update(await _counted(doors, link, counter))

    on_loop.body = body
    sys.argv = ["pystack", "run", "--addr6", "none", "--", "python", "-m", _PROGRAM]
    try:
        status: object = main()
    except SystemExit as ended:
        status = ended.code
    if status:
        raise SystemExit(status)
    return ways


async def _counted(doors: Doors, link: Link, counter: Counter) -> Ways:
    from scripts.call_counts.on_loop import OnLoop

    bench = await OnLoop.begun(doors, link, counter)
    ways: Ways = {}
    for operation in OPERATIONS:
        for _ in range(_WARM_UP):
            ways[operation.name] = await getattr(bench, operation.method)()
            await bench.settle()
    bench.close()
    return ways


def main() -> None:
    place, tree = sys.argv[1:]
    counter = Counter(use(tree))
    if place == HOST:
        ways = on_host(counter)
    else:
        from scripts.call_counts.link import Clock, Link

        count = on_stack if place == STACK else under_run
        ways = count(counter, Link(Clock(), counter))
    print(json.dumps(ways))


if __name__ == "__main__":
    main()

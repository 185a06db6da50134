"""asyncio on virtual time: the loop's clock is that of a world, and nothing outside is waited for.

When no callback is ready the next event of the world happens, or time jumps to the next timer (see
`virtual_selector`, which also finds deadlocks). So a program takes as long as its computation does,
and it does the same in every run.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar, TypeVarTuple

from pystack import arguments
from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.loop.calls import StackCalls
from pystack.sim.network.events import Events
from pystack.sim.task_places import described
from pystack.sim.virtual_selector import VirtualSelector

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_ENDLESS_US: Final = 1 << 62
_NO_DESCRIPTORS: Final = (
    "in virtual time there are no descriptors, threads or processes to wait for, and no addresses "
    "but those of the hosts of a world"
)


class WorldLike(Protocol):
    """What a loop needs of a world."""

    events: Events

    def look_up(self, name: str) -> Sequence[str]:
        """The addresses of a host, none for an unknown name."""

    @property
    def hosts(self) -> Sequence[Endpoint]:
        """All hosts, in the order in which they were made."""


def run(
    main: Coroutine[Any, Any, T], *, world: WorldLike | None = None, debug: bool | None = None
) -> T:
    """As `asyncio.run`, in virtual time: run `main` and return what it returns.

    Worlds made in `main` are on its clock; one made before is given as `world`. Raises
    DeadlockError when all tasks wait for what can never come.
    """

    if world is not None and not hasattr(world, "events"):
        raise TypeError(arguments.unfit("world", world, "a pystack.sim.World was expected"))

    def make_loop() -> VirtualLoop:
        loop = VirtualLoop(Events() if world is None else world.events)
        if world is not None:
            loop.join(world)
        return loop

    with asyncio.Runner(debug=debug, loop_factory=make_loop) as runner:
        return runner.run(main)


def _refuse(loop: object, *args: Any, **options: Any) -> NoReturn:
    raise NotImplementedError(_NO_DESCRIPTORS)


_refused: Any = _refuse  # whatever the signature of the call that it stands for


# what the loop refuses, and what it shares with its selector and with worlds
_INSIDE: Final = frozenset((
    "add_reader", "add_signal_handler", "add_writer", "connect_accepted_socket",
    "connect_read_pipe", "connect_write_pipe", "create_unix_connection", "create_unix_server",
    "finds_stacks", "has_kernel", "join", "remove_reader", "remove_writer", "router",
    "sends_files_over_stacks", "subprocess_exec", "subprocess_shell", "use_stacks",
))  # fmt: skip


class _NoKernel(asyncio.BaseEventLoop):
    """Stands where other loops have the kernel: every call that needs one is refused."""

    create_connection = create_server = create_datagram_endpoint = _refused
    create_unix_connection = create_unix_server = connect_accepted_socket = _refused
    connect_read_pipe = connect_write_pipe = subprocess_exec = subprocess_shell = _refused
    add_reader = add_writer = remove_reader = remove_writer = add_signal_handler = _refused
    sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = _refused
    sock_sendall = sock_sendto = sock_sendfile = sock_connect = sock_accept = _refused


class VirtualLoop(StackCalls, _NoKernel):
    """An event loop whose `time()` is `events.now_us` in seconds.

    asyncio's own calls work on it for the hosts of the worlds that it knows, and for the stacks in
    `attached`: a server is on the host whose address it is given, a connection begins at the
    host that `with host.as_default():` says, else at the first one that is not its destination.

    `events` are the clock and the heap of its world. It runs up to `end_us`, in µs. Whoever sets
    that gets an OutOfTimeError out of the loop, and may set it anew and go on.
    """

    has_kernel = False

    if TYPE_CHECKING:  # what the base has, and typeshed does not know
        _ready: Sequence[asyncio.Handle]
        _clock_resolution: float
        _selector: Any
        _thread_id: int | None

    def __init__(self, events: Events | None = None) -> None:
        _NoKernel.__init__(self)
        self.use_stacks()
        self.events = Events() if events is None else events
        self.end_us = _ENDLESS_US
        self.attached: list[Endpoint] = []
        self._clock_resolution = 1e-7  # in µs, and doubles tell decades of them apart
        self._selector = VirtualSelector(self, self._ready, partial(described, self))
        self._worlds: list[WorldLike] = []

    @property
    def stacks(self) -> Sequence[Endpoint]:
        """Those that are attached, then all hosts of all worlds."""
        return [*self.attached, *(host for world in self._worlds for host in world.hosts)]

    def time(self) -> float:
        """The virtual time in seconds."""
        return self.events.now_us / 1e6

    def now_us(self) -> int:
        """The virtual time as a host wants it."""
        return self.events.now_us

    def join(self, world: WorldLike) -> None:
        """Look names up among a world's hosts, too."""
        self._worlds.append(world)

    # -- what other loops do with descriptors, threads and processes ------------------------------
    def _process_events(self, event_list: Sequence[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """The loop never sleeps."""

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As `call_soon`. Raises RuntimeError in another thread: a virtual clock cannot know when
        its call would come."""
        if self._thread_id is not None and self._thread_id != get_ident():
            raise RuntimeError("virtual time has one thread: no other may call into it")
        return self.call_soon(callback, *args, context=context)

    async def getaddrinfo(
        self, host: bytes | str | None, port: bytes | str | int | None, *, family: int = 0,
        type: int = 0, proto: int = 0, flags: int = 0,
    ) -> list[Any]:  # fmt: skip
        """The names of hosts and of attached stacks, each with its addresses; numeric ports."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host or ""
        knowing: list[WorldLike | Endpoint] = [*self._worlds, *self.attached]
        found = dict.fromkeys(text for one in knowing for text in one.look_up(name))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"no host of a world is called {name!r}")
        number = int(port or 0)
        places: list[Any] = []
        for text in found:
            own = socket.AF_INET6 if ":" in text else socket.AF_INET
            if family in (0, own):
                place = (text, number, 0, 0) if own == socket.AF_INET6 else (text, number)
                places.append((own, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place))
        return places

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Calls `func` here and now, whatever the executor: it takes no virtual time."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            future.set_exception(error)
        return future

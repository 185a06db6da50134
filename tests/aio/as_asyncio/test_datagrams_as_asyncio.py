"""Datagram transports of a stack do what asyncio's do over the kernel's sockets."""

from __future__ import annotations

import asyncio
import socket
from contextvars import ContextVar
from typing import Any

import pytest

from tests.aio.as_asyncio.both_loops import FAR, KERNEL, Ends, failure_of, same

SHORT = 0.02  # seconds, for something not to happen in
who: ContextVar[str] = ContextVar("who", default="nobody")


def loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


class Notes(asyncio.DatagramProtocol):
    """Keeps what it is told; `got` is a queue of datagrams and names of errors."""

    def __init__(self, *, echo: bool = False) -> None:
        self.echo = echo
        self.calls: list[str] = []
        self.got: asyncio.Queue[Any] = asyncio.Queue()
        self.lost: asyncio.Future[BaseException | None] = loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.calls.append("connection_made")
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert type(data) is bytes
        self.got.put_nowait((data, addr))
        if self.echo:
            self.transport.sendto(data.upper(), addr)

    def error_received(self, exc: Exception) -> None:
        assert isinstance(exc, OSError)
        self.got.put_nowait((type(exc).__name__, exc.errno))

    def pause_writing(self) -> None:
        self.calls.append("pause_writing")

    def resume_writing(self) -> None:
        self.calls.append("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calls.append("connection_lost")
        self.lost.set_result(exc)


async def server(ends: Ends, **options: Any) -> Notes:
    _, protocol = await loop().create_datagram_endpoint(
        lambda: Notes(**options), local_addr=(ends.address, 0)
    )
    return protocol


def name_of(protocol: Notes) -> Any:
    return protocol.transport.get_extra_info("sockname")


async def client(remote: Any, **options: Any) -> Notes:
    """One that is connected to `remote`."""
    _, protocol = await loop().create_datagram_endpoint(Notes, remote_addr=remote[:2], **options)
    return protocol


async def gone(*protocols: Notes) -> None:
    for protocol in protocols:
        protocol.transport.close()
        await protocol.lost


@pytest.mark.parametrize("connects", [False, True])
def test_a_datagram_is_answered(connects: bool) -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends, echo=True)
        if connects:
            here = await client(name_of(there))
            here.transport.sendto(b"hello")
        else:
            here = await client(name_of(there), local_addr=("0.0.0.0", 0))
            here.transport.sendto(b"hello", name_of(there))
        data, address = await here.got.get()
        seen = (await there.got.get())[0]
        facts = (data, address == name_of(there), seen, there.calls, here.calls)
        await gone(here, there)
        return facts

    assert same(scenario)[0] == b"HELLO"


def test_addresses_and_the_socket_are_extra_information() -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends)
        here = await client(name_of(there))
        sock = here.transport.get_extra_info("socket")
        facts = [
            here.transport.get_extra_info("peername") == name_of(there),
            there.transport.get_extra_info("peername"),
            here.transport.get_extra_info("nothing", "default"),
            sock.family, sock.type, sock.getsockname() == name_of(here),
            sock.getpeername() == name_of(there), sock.gettimeout(),
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), sock.fileno() > 0,
            here.transport.is_closing(), here.transport.get_protocol() is here,
        ]  # fmt: skip
        await gone(here, there)
        return [*facts, sock.fileno(), here.transport.is_closing(), here.transport.get_protocol()]

    same(scenario)


def test_a_closed_port_is_told_to_a_connected_protocol_that_goes_on() -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends)
        here = await client(name_of(there))
        there.transport.close()
        await there.lost
        here.transport.sendto(b"anybody?")
        facts = [await here.got.get(), here.transport.is_closing()]
        here.transport.sendto(b"still nobody?")
        facts.append(await here.got.get())
        await gone(here)
        return facts

    assert same(scenario)[0] == ("ConnectionRefusedError", 111)


def test_an_address_other_than_the_peers_is_refused() -> None:
    async def scenario(ends: Ends) -> Any:
        there, other = await server(ends, echo=True), await server(ends)
        here = await client(name_of(there))
        try:
            here.transport.sendto(b"x", name_of(other))
        except ValueError as error:
            text = str(error).replace(str(name_of(there)), "PEER")
        here.transport.sendto(b"x", name_of(there))
        facts = (text, (await here.got.get())[0])
        await gone(here, there, other)
        return facts

    assert same(scenario) == ("Invalid address: must be None or PEER", b"X")


def test_what_is_no_bytes_is_refused() -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends)
        here = await client(name_of(there))
        try:
            here.transport.sendto("text")
        except TypeError as error:
            text = str(error)
        for data in (bytearray(b"a"), memoryview(b"b")):
            here.transport.sendto(data)
        facts = (text, (await there.got.get())[0], (await there.got.get())[0])
        await gone(here, there)
        return facts

    same(scenario)


def test_what_is_too_large_is_told_as_an_error() -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends)
        here = await client(name_of(there))
        here.transport.sendto(bytes(70_000))
        facts = [await here.got.get()]
        here.transport.sendto(bytes(65_507))
        facts.append(len((await there.got.get())[0]))
        await gone(here, there)
        return facts

    assert same(scenario) == [("OSError", 90), 65_507]


def test_an_address_that_is_none_ends_the_transport_with_the_reason() -> None:
    async def scenario(ends: Ends) -> Any:
        told: list[Any] = []
        loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        there = await server(ends)
        there.transport.sendto(b"x")
        error = await there.lost
        return type(error).__name__, [type(one).__name__ for one in told]

    assert same(scenario) == ("TypeError", ["TypeError"])


def test_a_protocol_that_raises_is_told_of_and_goes_on() -> None:
    class Raises(Notes):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            raise RuntimeError(data.decode())

    async def scenario(ends: Ends) -> Any:
        told: list[Any] = []
        loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        _, there = await loop().create_datagram_endpoint(
            Raises, local_addr=(ends.address, 0)
        )
        here = await client(name_of(there))
        for text in (b"one", b"two"):
            here.transport.sendto(text)
            await there.got.get()
        await asyncio.sleep(0)
        await gone(here, there)
        return [repr(one) for one in told]

    assert same(scenario) == ["RuntimeError('one')", "RuntimeError('two')"]


def test_close_and_abort_tell_the_protocol_once_in_the_next_turn() -> None:
    async def scenario(ends: Ends) -> Any:
        facts = []
        for end in ("close", "abort"):
            there = await server(ends)
            getattr(there.transport, end)()
            getattr(there.transport, end)()
            facts.append((there.transport.is_closing(), there.lost.done()))
            facts.append((await there.lost, there.calls))
            await asyncio.sleep(SHORT)
        return facts

    same(scenario)


def test_nothing_is_received_after_close() -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends)
        here = await client(name_of(there))
        here.transport.sendto(b"x")
        there.transport.close()
        await there.lost
        await asyncio.sleep(SHORT)
        await gone(here)
        return there.got.qsize()

    assert same(scenario) == 0


@pytest.mark.skipif(
    "pause_reading" not in vars(asyncio.selector_events._SelectorTransport),  # type: ignore[attr-defined]
    reason="datagram transports of this Python's asyncio cannot be paused",
)
def test_reading_may_be_paused() -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends)
        here = await client(name_of(there))
        there.transport.pause_reading()
        facts = [there.transport.is_reading()]
        here.transport.sendto(b"later")
        await asyncio.sleep(SHORT)
        facts.append(there.got.qsize())
        there.transport.resume_reading()
        facts += [there.transport.is_reading(), (await there.got.get())[0]]
        await gone(here, there)
        return facts

    assert same(scenario) == [False, 0, True, b"later"]


def test_write_buffer_limits_are_asyncios() -> None:
    async def scenario(ends: Ends) -> Any:
        there = await server(ends)
        facts = [
            there.transport.get_write_buffer_limits() if hasattr(
                there.transport, "get_write_buffer_limits") else None,
            there.transport.get_write_buffer_size(),
        ]  # fmt: skip
        there.transport.set_write_buffer_limits(high=10)
        facts.append(there.transport.get_write_buffer_limits())
        await gone(there)
        return facts

    same(scenario)


def test_the_protocol_is_called_in_the_context_that_made_the_transport() -> None:
    class Asks(Notes):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.got.put_nowait(who.get())

    async def scenario(ends: Ends) -> Any:
        who.set("maker")
        _, there = await loop().create_datagram_endpoint(Asks, local_addr=(ends.address, 0))
        who.set("sender")
        here = await client(name_of(there))
        here.transport.sendto(b"x")
        facts = await there.got.get()
        await gone(here, there)
        return facts

    assert same(scenario) == "maker"


@pytest.mark.parametrize("family", [4, 6])
def test_a_socket_may_be_handed_in(family: int) -> None:
    async def scenario(ends: Ends) -> Any:
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        sock = ends.socket(kind, socket.SOCK_DGRAM)
        sock.bind((ends.address if family == 4 else ends.address6, 0))
        _, there = await loop().create_datagram_endpoint(lambda: Notes(echo=True), sock=sock)
        other = ends.client(kind, socket.SOCK_DGRAM)
        other.connect(name_of(there))
        other.setblocking(False)
        _, here = await loop().create_datagram_endpoint(Notes, sock=other)
        here.transport.sendto(b"one")
        here.transport.sendto(b"two", name_of(there))
        facts = [(await here.got.get())[0], (await here.got.get())[0]]
        await gone(here, there)
        return [*facts, sock.fileno(), other.fileno()]

    assert same(scenario) == [b"ONE", b"TWO", -1, -1]


def test_sock_calls_take_datagram_sockets() -> None:
    async def scenario(ends: Ends) -> Any:
        there, here = (make(type=socket.SOCK_DGRAM) for make in (ends.socket, ends.client))
        for sock in (there, here):
            sock.setblocking(False)
        there.bind((ends.address, 0))
        await loop().sock_connect(here, there.getsockname())
        await loop().sock_sendall(here, b"hello")
        data, address = await loop().sock_recvfrom(there, 100)
        facts = [data, address == here.getsockname()]
        facts.append(await loop().sock_sendto(there, b"answer", address))
        facts.append(await loop().sock_recv(here, 100))
        receiving = loop().create_task(loop().sock_recvfrom_into(here, bytearray(10)))
        await asyncio.sleep(0)
        await loop().sock_sendto(there, b"more", address)
        length, _ = await receiving
        there.close()
        await loop().sock_sendall(here, b"anybody?")
        facts.append(await failure_of(loop().sock_recv(here, 100)))
        here.close()
        return [*facts, length]

    assert same(scenario)[:4] == [b"hello", True, 6, b"answer"]


@pytest.mark.parametrize(
    "case",
    [
        "nothing", "a string", "three items", "a stream socket", "socket and address", "in use",
        "nobody's address", "another family",
    ],
)  # fmt: skip
def test_what_asyncio_refuses_is_refused_alike(case: str) -> None:
    async def scenario(ends: Ends) -> Any:
        make = loop().create_datagram_endpoint
        there = await server(ends)
        arguments: dict[str, dict[str, Any]] = {
            "nothing": {},
            "a string": {"local_addr": "somewhere"},
            "three items": {"local_addr": (ends.address, 0, 0)},
            "a stream socket": {"sock": ends.socket()},
            "socket and address": {
                "sock": ends.socket(type=socket.SOCK_DGRAM), "local_addr": (ends.address, 0)
            },
            "in use": {"local_addr": name_of(there)},
            "nobody's address": {"local_addr": ("203.0.113.1", 0)},
            "another family": {"local_addr": (ends.address, 0), "remote_addr": (ends.address6, 9)},
        }  # fmt: skip
        found = await failure_of(make(Notes, **arguments[case]))
        for given in arguments.values():
            if "sock" in given:
                given["sock"].close()
        await gone(there)
        return found.split(", got")[0].replace(FAR, KERNEL)

    assert same(scenario) != "none"


def test_a_port_may_be_shared() -> None:
    async def scenario(ends: Ends) -> Any:
        options = {"reuse_port": True}
        _, one = await loop().create_datagram_endpoint(
            Notes, local_addr=(ends.address, 0), **options
        )
        _, two = await loop().create_datagram_endpoint(Notes, local_addr=name_of(one), **options)
        return (name_of(one) == name_of(two), await gone(one, two))

    same(scenario)

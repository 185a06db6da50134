"""Names that a stack of a program's own knows, in every call of Python's that takes one."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from tests.aio.loop.test_program import OTHER, OWN, OWN6, echo, echoed, run, stack
from tests.surroundings import PATIENCE

__all__ = ["stack"]


def test_names_are_looked_up_whatever_they_are_given_to(stack: Stack) -> None:
    def infos(family: int) -> set[str]:
        return {str(info[4][0]) for info in socket.getaddrinfo("web", 80, family)}

    assert infos(socket.AF_INET) == {OWN}
    assert infos(socket.AF_INET6) == {OWN6}
    assert infos(0) == {OWN, OWN6}
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("other", 80, socket.AF_INET6)

    def in_thread() -> None:
        with socket.socket() as sock:
            sock.settimeout(PATIENCE)
            sock.connect(("other", 80))
            assert sock.getpeername() == (OTHER, 80)

    async def body(other: Stack) -> None:
        async with await other.start_server(echo, OTHER, 80):
            await asyncio.to_thread(in_thread)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_sendto(sock, b"x", ("localhost", 9))

    run(stack, body)


def test_names_may_be_bytes_and_in_capitals(stack: Stack) -> None:
    infos = socket.getaddrinfo(b"WEB", 80, socket.AF_INET, socket.SOCK_STREAM)
    assert [info[4] for info in infos] == [(OWN, 80)]
    assert socket.gethostbyname("web") == OWN
    assert socket.gethostbyname_ex("other") == ("other", [], [OTHER])


SPELT = ("db", "DB", "Db.", b"dB", b"DB.")
SPELT_IN_GERMAN = ("büro.example", "BÜRO.example.", "xn--bro-hoa.example", b"XN--BRO-HOA.example.")


@pytest.mark.parametrize("name", [*SPELT, *SPELT_IN_GERMAN])
def test_a_name_is_found_however_it_is_spelt(stack: Stack, name: str | bytes) -> None:
    infos = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    assert [info[4] for info in infos] == [(OTHER, 80)]
    assert socket.gethostbyname(name) == OTHER
    assert socket.gethostbyname_ex(name)[2] == [OTHER]

    async def body(other: Stack) -> None:
        loop = asyncio.get_running_loop()
        async with await other.start_server(echo, OTHER, 80):
            assert await echoed(await asyncio.open_connection(name, 80)) == b"text"  # type: ignore[arg-type]
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, (name, 80))
                assert sock.getpeername() == (OTHER, 80)

    run(stack, body)


@pytest.mark.parametrize("name", ["web", b"WEB."])
def test_names_go_wherever_a_socket_takes_an_address(stack: Stack, name: Any) -> None:
    async def body(other: Stack) -> None:
        loop = asyncio.get_running_loop()
        with (
            socket.socket() as listening,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
            other.socket(type=socket.SOCK_DGRAM) as far,
        ):
            for one in listening, sock, far:
                one.setblocking(False)
            listening.bind((name, 80))
            assert listening.getsockname() == (OWN, 80)
            far.bind((OTHER, 9))
            sock.bind((name, 9))
            for _ in range(2):  # it is the stack's from the first one on
                sock.sendto(b"one", ("other", 9))
                sock.sendto(b"two", 0, ("OTHER.", 9))
                sock.sendmsg([b"three"], [], 0, ("other", 9))
            texts = [await loop.sock_recvfrom(far, 100) for _ in range(6)]
            assert texts == [(text, (OWN, 9)) for text in (b"one", b"two", b"three")] * 2
            sock.connect(("other", 9))
            assert sock.getpeername() == (OTHER, 9)
            assert sock.connect_ex(("other", 10)) == 0
            assert sock.getpeername() == (OTHER, 10)

    run(stack, body)


def test_a_name_that_nobody_knows_is_said_to_be_unknown(stack: Stack) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for call in sock.bind, sock.connect, lambda where: sock.sendto(b"", where):
            with pytest.raises(socket.gaierror):
                call(("nobody.invalid", 9))
        with pytest.raises(TypeError):
            sock.connect((None, 9))


def test_addresses_of_one_name_that_is_spelt_differently_are_joined() -> None:
    stack = Stack.over(Cable().left, f"{OWN}/24", names={"DB.": OWN, "db": [OTHER]})
    assert stack.look_up("Db") == (OWN, OTHER)
    assert stack.look_up("") == stack.look_up("d") == ()

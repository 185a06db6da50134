"""aioquic's HTTP/3, over UDP: the same program on either side."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.libraries import http3
from tests.libraries.link import NAME, Link

pytestmark = pytest.mark.live

PROGRAM = str(Path(http3.__file__))
PORT = 4433
WITHOUT = {"plain": "QUIC is never without TLS"}
server = pytest.mark.cell("aioquic", "server", "HTTP/3", without=WITHOUT)
client = pytest.mark.cell("aioquic", "client", "HTTP/3, by `pystack run`", without=WITHOUT)


def check(link: Link, printed: str, address: str) -> None:
    """What the client has got, at `address`."""
    got = json.loads(printed)
    if not link.kernel:  # which would choose among its own
        assert got["seen_as"].removeprefix("::ffff:") == address
    assert got["digest"] == hashlib.sha256(http3.some(http3.LENGTH)).hexdigest()
    assert got["same"]
    assert got["lengths"] == list(range(1, 20))


def listening_at(link: Link) -> str:
    """For the kernel's side: it begins before the program that makes the device."""
    if link.kernel:
        return link.theirs
    return "::" if link.version == 6 else "0.0.0.0"


@server
def test_a_client_on_kernel_sockets_has_many_streams_and_bodies_of_2_mb(link: Link) -> None:
    files = link.certificates

    async def main() -> None:
        async with http3.served(link.ours, PORT, str(files.certificate), str(files.key)):
            words = ("fetch", link.ours, str(PORT), str(files.authority))
            with link.beside("python", PROGRAM, *words) as program:
                status = await asyncio.to_thread(program.end)
                assert status == 0, program.err
        check(link, program.out, link.theirs)

    link.run(main)


@client
def test_it_has_many_streams_and_bodies_of_2_mb_from_a_server_on_kernel_sockets(
    link: Link,
) -> None:
    files = link.certificates
    words = ("serve", listening_at(link), str(PORT), str(files.certificate), str(files.key))
    with link.beside("python", PROGRAM, *words) as serving:
        serving.until("ready")
        words = ("fetch", link.theirs, str(PORT), str(files.authority))
        with link.program("python", PROGRAM, *words) as program:
            assert program.end() == 0, program.err
        check(link, program.out, link.ours)


@client
def test_a_certificate_for_another_name_is_refused(link: Link) -> None:
    files = link.certificates
    words = ("serve", listening_at(link), str(PORT), str(files.certificate), str(files.key))
    with link.beside("python", PROGRAM, *words) as serving:
        serving.until("ready")
        words = ("fetch", link.theirs, str(PORT), str(files.authority))
        with link.program("python", PROGRAM, *words, "another.test") as program:
            assert program.end() == 1
        assert "another.test" in program.err
        with link.program("python", PROGRAM, *words, NAME) as program:
            assert program.end() == 0, program.err

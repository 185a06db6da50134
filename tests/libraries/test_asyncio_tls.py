"""TLS by Python's own `ssl`: `ssl=` and `start_tls`, with OpenSSL's programs at the other end."""

from __future__ import annotations

import asyncio
import random
import shutil
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.libraries.link import NAME, Link

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="not installed: openssl"),
]

WITHOUT = {"plain": "the rows of the other libraries are without TLS too"}
client = pytest.mark.cell("asyncio", "client", "ssl=, start_tls", without=WITHOUT)
server = pytest.mark.cell("asyncio", "server", "ssl=, start_tls", without=WITHOUT)

PORT = 4433
MUCH = random.Random(9).randbytes(5_000_000)


def context_of_server(link: Link) -> ssl.SSLContext:
    return link.certificates.for_server()


def context_of_client(link: Link) -> ssl.SSLContext:
    return link.certificates.for_client()


def asking(context: ssl.SSLContext, link: Link) -> ssl.SSLContext:
    """A server's context that wants a certificate of the client."""
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(link.certificates.authority)
    return context


def place(link: Link, address: str) -> str:
    """As OpenSSL's programs take it."""
    return f"[{address}]:{PORT}" if link.version == 6 else f"{address}:{PORT}"


def own_certificate(link: Link) -> tuple[str, ...]:
    """Options of OpenSSL's programs."""
    certificates = link.certificates
    return ("-cert", str(certificates.certificate), "-key", str(certificates.key))


# -- our server ------------------------------------------------------------------------------------
async def s_client(link: Link, *options: str, input: bytes) -> tuple[int, bytes, bytes]:
    """Exit status, output, errors of OpenSSL's client, which sends `input` and reads to the end."""
    authority = str(link.certificates.authority)
    return await link.namespace.arun(
        ["openssl", "s_client", "-connect", place(link, link.ours), "-CAfile", authority,
         "-verify_ip", link.ours, "-verify_return_error", "-tls1_3", "-quiet", *options],
        input=input,
    )  # fmt: skip


async def upper_line(reader: StreamReader, writer: StreamWriter) -> None:
    """Answers one line, tells who the client is, and closes."""
    line = await reader.readline()
    subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
    writer.write(line.upper() + b"%d\n" % len(subject))
    writer.close()


@server
def test_openssl_verifies_our_certificate_and_talks_tls_1_3(link: Link) -> None:
    async def main() -> None:
        served = await asyncio.start_server(
            upper_line, link.ours, PORT, ssl=context_of_server(link)
        )
        async with served:
            status, out, err = await s_client(link, input=b"hello\n")
            assert (status, out) == (0, b"HELLO\n0\n"), err

    link.run(main)


@server
def test_curl_verifies_our_certificate_and_gets_5_mb(link: Link) -> None:
    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MUCH))
        writer.write(MUCH)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(answer, link.ours, PORT, ssl=context_of_server(link)):
            argv = ["curl", *link.curl, link.url(PORT)]
            assert await link.namespace.arun(argv) == (0, MUCH, b"")

    link.run(main)


@server
def test_a_client_has_to_show_a_certificate_where_one_is_wanted(link: Link) -> None:
    async def main() -> None:
        wanted = asking(context_of_server(link), link)
        async with await asyncio.start_server(upper_line, link.ours, PORT, ssl=wanted):
            own = own_certificate(link)
            status, out, err = await s_client(link, *own, input=b"hello\n")
            assert (status, out) == (0, b"HELLO\n2\n"), err  # it has a name of two parts
            _, out, _ = await s_client(link, input=b"hello\n")
            assert out == b""

    link.run(main)


@server
def test_a_mail_server_changes_to_tls_when_it_is_asked_to(link: Link) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        assert (await reader.readline()).startswith(b"EHLO")
        writer.write(b"250-here\r\n250 STARTTLS\r\n")
        assert await reader.readline() == b"STARTTLS\r\n"
        writer.write(b"220 go on\r\n")
        await writer.start_tls(context_of_server(link))
        await upper_line(reader, writer)

    async def main() -> None:
        async with await asyncio.start_server(talk, link.ours, PORT):
            status, out, err = await s_client(link, "-starttls", "smtp", input=b"hello\n")
            assert (status, out.splitlines()[-2:]) == (0, [b"HELLO", b"0"]), err

    link.run(main)


# -- our client ------------------------------------------------------------------------------------
@asynccontextmanager
async def s_server(link: Link, *options: str) -> AsyncIterator[None]:
    """OpenSSL's server, which answers each line with its reverse."""
    process = await link.start(
        "openssl", "s_server", "-accept", place(link, link.theirs), *own_certificate(link),
        "-tls1_3", "-rev", *options,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = b""
        while not line.startswith(b"ACCEPT"):
            line = await process.stdout.readline()
            assert line, "openssl s_server has ended"
        yield
    finally:
        process.kill()
        await process.communicate()


async def reversed_by(link: Link, context: ssl.SSLContext, **options: Any) -> ssl.SSLObject:
    """A line goes there and comes back; the session's `ssl_object`."""
    reader, writer = await asyncio.open_connection(link.theirs, PORT, ssl=context, **options)
    writer.write(b"hello\n")
    assert await reader.readline() == b"olleh\n"
    about = writer.get_extra_info("ssl_object")
    assert isinstance(about, ssl.SSLObject)
    writer.close()
    await writer.wait_closed()
    return about


@client
def test_we_verify_the_certificate_of_openssl_and_talk_tls_1_3(link: Link) -> None:
    async def main() -> None:
        async with s_server(link):
            about = await reversed_by(link, context_of_client(link))
            assert about.version() == "TLSv1.3"
            await reversed_by(link, context_of_client(link), server_hostname=NAME)
            with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
                await reversed_by(link, ssl.create_default_context())
            with pytest.raises(ssl.SSLCertVerificationError, match="another"):
                await reversed_by(link, context_of_client(link), server_hostname="another.test")

    link.run(main)


@client
def test_we_show_our_certificate_to_a_server_that_wants_one(link: Link) -> None:
    async def main() -> None:
        wanted = ("-CAfile", str(link.certificates.authority), "-Verify", "1")
        async with s_server(link, *wanted, "-verify_return_error"):
            context = context_of_client(link)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await reversed_by(link, context)
            context.load_cert_chain(link.certificates.certificate, link.certificates.key)
            await reversed_by(link, context)

    link.run(main)


@client
def test_a_connection_changes_to_tls_and_carries_5_mb_both_ways(link: Link) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        """On a kernel socket, by asyncio's own transport."""
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go on\n")
        await writer.start_tls(context_of_server(link))
        writer.write(await reader.readexactly(len(MUCH)))
        writer.close()

    async def main() -> None:
        listening, port = link.listening()
        async with await asyncio.start_server(talk, sock=listening):
            reader, writer = await asyncio.open_connection(link.theirs, port)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go on\n"
            await writer.start_tls(context_of_client(link), server_hostname=link.theirs)
            assert writer.get_extra_info("cipher")[1] == "TLSv1.3"
            writer.write(MUCH)
            assert await reader.read() == MUCH
            writer.close()
            await writer.wait_closed()

    link.run(main)

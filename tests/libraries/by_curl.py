"""What curl, on the kernel's sockets, finds at a server with the routes of `application`."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from tests.libraries.application import MUCH
from tests.libraries.link import Link


async def check(link: Link, port: int, folder: Path, http: str = "1.1") -> None:
    """Two answers over one connection, whose ends the server knows; long bodies both ways.

    `http` is "1.1" or "2"; without TLS that is spoken at once, with TLS it is agreed on by ALPN.
    """
    speak = {"1.1": "--http1.1", "2": "--http2" if link.tls else "--http2-prior-knowledge"}
    curl = ["curl", *link.curl, speak[http]]
    url = link.url(port)
    # curl 7.88 fails at the second request of a connection that it knew to be HTTP/2
    urls = [url] if speak[http] == "--http2-prior-knowledge" else [url, url]
    first, *more = map(json.loads, (await link.output(*curl, "-w", "\n", *urls)).splitlines())
    assert more == [first] * (len(urls) - 1)  # the port at curl's side, too
    assert first["http_version"] == http
    assert first["scheme"] == ("https" if link.tls else "http")
    assert first["client"][0] == link.theirs
    assert first["server"][:2] == [link.ours, port]

    body, got = folder / "body", folder / "got"
    body.write_bytes(MUCH)
    upload = ["-T", str(body)]
    if http == "1.1":
        upload += ["-H", "Transfer-Encoding: chunked"]
    known = await link.output(*curl, *upload, link.url(port, "/digest"))
    assert known == hashlib.sha256(MUCH).hexdigest()
    await link.output(*curl, "-o", str(got), link.url(port, "/much"))
    assert got.read_bytes() == MUCH


def open_request(link: Link, port: int) -> subprocess.Popen[bytes]:
    """curl with a body that goes on until its stdin ends.

    In HTTP/2 curl would send frames after the answer. Where a server closes TLS meanwhile, asyncio
    makes an error of them (APPLICATION_DATA_AFTER_CLOSE_NOTIFY), and hypercorn ends with it: on the
    kernel's sockets as well, on Debian 13 half of the times.
    """
    body = ["--http1.1", "-T", ".", "-H", "Expect:", link.url(port, "/digest")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return link.namespace.popen(["curl", *link.curl, *body], **pipes)

"""HTTP on a stack, by aiohttp: the page of the connection it is fetched over, and a folder.

`/` is HTML for browsers and plain text for the rest (curl), `/connection` is JSON, `/files/` the
folder with listing and ranges.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any, Final

from aiohttp import HttpVersion11, web

from pystack.cli.report.connection_facts import facts, lines

FILES: Final = "/files"
_FOLDER: Final = web.AppKey("folder", str)

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A connection to pystack</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem;
  color: #223; background: #fbfbf8 }}
h1 {{ font-size: 1.4rem }}
td {{ padding: .15rem 1.5rem .15rem 0; vertical-align: top }}
td:first-child {{ color: #667 }}
td + td {{ font-family: ui-monospace, monospace }}
</style>
<h1>This came over a TCP written in Python</h1>
<table>
{rows}
</table>
<p>{links}</p>
</html>
"""


def application(folder: Path | None) -> web.Application:
    """The web application; `folder`, if given, is served below /files/."""
    app = web.Application()
    app.router.add_get("/", _page)
    app.router.add_get("/connection", _json)
    app[_FOLDER] = "" if folder is None else str(folder)
    if folder is not None:
        app.router.add_static(FILES, folder, show_index=True)
    return app


async def runner(folder: Path | None) -> web.AppRunner:
    """A runner that is set up; its `server` makes protocols for `Stack.create_server`."""
    made = web.AppRunner(application(folder), access_log=None, shutdown_timeout=1)
    await made.setup()
    return made


async def _page(request: web.Request) -> web.StreamResponse:
    known = _facts(request)
    if "text/html" in request.headers.get("Accept", ""):
        return web.Response(text=_html(request, known), content_type="text/html")
    text = "".join(f"{name:<18}{value}\n" for name, value in lines(known))
    if request.version < HttpVersion11:
        return await _until_close(request, text)
    return web.Response(text=text)


async def _until_close(request: web.Request, text: str) -> web.StreamResponse:
    """Answer in the way of HTTP/1.0: no length, the end of the connection is the end of it."""
    response = web.StreamResponse()
    response.content_type, response.charset = "text/plain", "utf-8"
    await response.prepare(request)
    await response.write(text.encode())
    await response.write_eof()
    return response


async def _json(request: web.Request) -> web.Response:
    return web.json_response(_facts(request))


def _facts(request: web.Request) -> dict[str, Any]:
    transport = request.transport
    if transport is None:  # lost while the request was on its way
        raise web.HTTPServiceUnavailable
    return facts(transport)


def _html(request: web.Request, known: dict[str, Any]) -> str:
    rows = "\n".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in lines(known)
    )
    links = '<a href="/connection">as JSON</a>'
    if request.app[_FOLDER]:
        links += f' · <a href="{FILES}/">files</a>'
    return _PAGE.format(rows=rows, links=links)

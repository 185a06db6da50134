"""What the servers of these tests serve: an application of Starlette's, and one of FastAPI's.

    python -m uvicorn tests.libraries.application:app

It says "started" and "ended" on stdout, by its lifespan, and "asked" at the first piece of a body.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

MUCH = bytes(range(251)) * 20_000  # 5 MB
PIECE = 50_000


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    print("started", flush=True)
    yield
    print("ended", flush=True)


async def facts(request: Request) -> JSONResponse:
    """What the server has told the application of the connection."""
    names = ("http_version", "scheme", "client", "server")
    return JSONResponse({name: request.scope[name] for name in names})


async def digest(request: Request) -> PlainTextResponse:
    """The SHA-256 of the body."""
    known = hashlib.sha256()
    begun = False
    async for piece in request.stream():
        if piece and not begun:
            begun = True
            print("asked", flush=True)
        known.update(piece)
    return PlainTextResponse(known.hexdigest())


async def much(_request: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(MUCH), PIECE):
            yield MUCH[at : at + PIECE]

    return StreamingResponse(pieces())


async def echo(websocket: WebSocket) -> None:
    """Sends back each message."""
    await websocket.accept()
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message)


app = Starlette(
    routes=[
        Route("/", facts),
        Route("/digest", digest, methods=["PUT", "POST"]),
        Route("/much", much),
        WebSocketRoute("/echo", echo),
    ],
    lifespan=lifespan,
)

fastapi_app = FastAPI(lifespan=lifespan)


class Numbers(BaseModel):
    """A body that is checked."""

    numbers: list[int]


@fastapi_app.post("/sum")
async def total(body: Numbers) -> dict[str, int]:
    return {"sum": sum(body.numbers)}

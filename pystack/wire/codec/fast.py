"""The codec in C (csrc/): what `pure` is in Python. ImportError when it was not built.

The functions are the C module's own, as a Python frame around them would cost half of the call.
"""

from __future__ import annotations

from mmap import mmap
from typing import Any, Final

from pystack.wire._fast import ffi, lib

_from_buffer: Final = ffi.from_buffer
_octets: Final = ffi.typeof("uint8_t[]")
_checksum: Final = lib.checksum
_build_tcp: Final = lib.build_tcp

parse = lib.parse
cut = lib.cut
complete_checksum = lib.complete_checksum
read_batch = lib.read_batch
write_batch = lib.write_batch


def pin(buf: bytearray | mmap, /) -> Any:
    return _from_buffer(_octets, buf)


def checksum(arena: Any, off: int, length: int, initial: int = 0, /) -> int:
    return _checksum(arena, off, length, initial)


def build_tcp(
    arena: Any,
    off: int,
    key: bytes,
    seq: int,
    ack: int,
    flags: int,
    wnd: int,
    urgent: int,
    tos: int,
    ttl: int,
    ident: int,
    df: int,
    timestamps: int,
    tsval: int,
    tsecr: int,
    options: bytes,
    length: int,
    checksum_state: int,
    /,
) -> int:
    return _build_tcp(
        arena, off, key, seq, ack, flags, wnd, urgent, tos, ttl, ident, df, timestamps, tsval,
        tsecr, options, len(options), length, checksum_state,
    )  # fmt: skip

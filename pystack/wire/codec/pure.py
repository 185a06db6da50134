"""The codec in Python: what `fast` is in C. pystack/wire/codec says what each function does."""

from __future__ import annotations

from mmap import mmap
from typing import Any

from pystack.wire.codec.build import build_tcp, complete_checksum, cut
from pystack.wire.codec.descriptor import read_batch, write_batch
from pystack.wire.codec.internet_checksum import checksum
from pystack.wire.codec.parser import parse


def pin(buf: bytearray | mmap, /) -> Any:
    return buf


__all__ = [
    "build_tcp", "checksum", "complete_checksum", "cut", "parse", "pin", "read_batch",
    "write_batch",
]  # fmt: skip

from typing import Any

ffi: Any

class Lib:
    def checksum(self, arena: Any, off: int, length: int, initial: int, /) -> int: ...
    def parse(
        self,
        arena: Any,
        off: int,
        length: int,
        checksum_state: int,
        gso_size: int,
        records: Any,
        index: int,
        /,
    ) -> int: ...
    def build_tcp(
        self,
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
        options_length: int,
        length: int,
        checksum_state: int,
        /,
    ) -> int: ...
    def cut(
        self,
        arena: Any,
        off: int,
        length: int,
        gso_size: int,
        out: Any,
        out_off: int,
        lengths: Any,
        /,
    ) -> int: ...
    def complete_checksum(self, arena: Any, off: int, length: int, /) -> None: ...
    def read_batch(
        self, fd: int, arena: Any, slot_size: int, slots: int, vnet: int, records: Any, /
    ) -> int: ...
    def write_batch(
        self, fd: int, arena: Any, records: Any, first: int, count: int, vnet: int, /
    ) -> int: ...

lib: Lib

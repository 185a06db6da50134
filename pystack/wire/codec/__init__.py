"""The codec that this process uses: C (`fast`), or its Python twins (`pure`).

This folder stays Python where the core is compiled: the choice is made while it is imported, and
the twins are for machines without a compiler. `parser`, `build`, `internet_checksum`, `layout` and
`descriptor` are twins of the files in csrc/.

The twins are taken when PYSTACK_PURE=1 is set, or when the C module was not built. Both have the
same functions, and all arguments are positional. `arena`, `records`, `out` and `lengths` are
bytearrays that went through `pin` once; offsets and lengths are bytes and must lie inside of
them, which the caller sees to. Nothing here decides anything about TCP.

- `pin(buf)`: the form in which the other functions take a buffer; it may not be resized
  as long as that lives.
- `checksum(arena, off, length, initial=0) -> int`: the folded 16-bit one's complement sum of the
  octets, added to `initial`, not complemented (RFC 1071).
- `parse(arena, off, length, checksum_state, gso_size, records, index) -> kind`: checks one
  packet and writes record `index` (`wire.segment`). Lengths come from the IP header, octets
  behind the packet are ignored. IPv4's header checksum is always verified, TCP's if the state
  is CHECKSUM_COMPLETE. Ports in the key are 0 and `text` is `upper` where it is not TCP; of a
  fragment, `upper` is what follows the IPv4 or the IPv6 fragment header. An IPv6 fragment
  that is a whole packet (RFC 6946) counts as a packet. A record of KIND_BAD says reason, start,
  end and what was given, all else is 0. The window scale is the octet sent, at most 127.
- `build_tcp(arena, off, key, seq, ack, flags, wnd, urgent, tos, ttl, ident, df, timestamps,
  tsval, tsecr, options, length, checksum_state) -> int`: writes IP and TCP headers at `off` for
  `length` payload bytes that lie behind them already, and returns the headers' length, which is
  (20 or 40) + 20 + (12 if timestamps) + len(options). `key` has the sender's address and port
  first; IPv4 if it is an IPv4-mapped one. `ident` is the IPv4 ID or the IPv6 flow label.
  `timestamps` puts nop, nop, timestamps before `options` (a multiple of four bytes).
  CHECKSUM_PARTIAL leaves the pseudo-header's sum in the checksum field. Numbers must fit
  their fields.
- `cut(arena, off, length, gso_size, out, out_off, lengths) -> int`: cuts a TCP packet into
  packets of `gso_size` payload bytes with complete checksums, back to back at `out_off`, and
  puts their lengths into `lengths` (16 bits each, little-endian). IPv4 IDs count up, FIN and PSH
  stay on the last, CWR on the first, URG where the pointer lies ahead. 0 if it is no TCP packet.
- `complete_checksum(arena, off, length)`: fills in the TCP or UDP checksum of a packet; leaves
  any other packet alone.
- `read_batch(fd, arena, slot_size, slots, vnet, records) -> int`: up to `slots` reads, and no
  further one after 192 KB, which a core's cache still holds when the host copies; packet i
  begins at i * slot_size + SLOT_HEADROOM and is parsed into record i. With `vnet` each read
  brings a virtio header. Returns how many, 0 if there was nothing to read, or -errno if the first
  read failed; an error after the first is left to the next call.
- `write_batch(fd, arena, records, first, count, vnet) -> int`: writes the packets of `count`
  TX_RECORDs from `first` on. Returns how many were written before an error, or -errno if the
  first one failed (EINVAL concerns that packet alone: go on with the next). Without `vnet` partial
  checksums are completed in the arena.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pystack import config

if TYPE_CHECKING or config.PURE:
    from pystack.wire.codec import pure as chosen
else:
    try:
        from pystack.wire.codec import fast as chosen
    except ModuleNotFoundError:
        from pystack.wire.codec import pure as chosen

PURE: Final = chosen.__name__.endswith("pure")

pin = chosen.pin
checksum = chosen.checksum
parse = chosen.parse
build_tcp = chosen.build_tcp
cut = chosen.cut
complete_checksum = chosen.complete_checksum
read_batch = chosen.read_batch
write_batch = chosen.write_batch

"""Captures of packets in the pcapng format, for Wireshark and its kin.

The file comes from the caller, opened for writing bytes, and stays the caller's to close; what
writing to it raises (a full disk) is passed on. dpkt writes the blocks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from struct import pack
from typing import Any, BinaryIO, Final

from dpkt import pcapng

from pystack.wire.batch import Packet
from pystack.wire.offload import completed

INBOUND: Final = 1  # epb_flags, draft-ietf-opsawg-pcapng §4.3.1
OUTBOUND: Final = 2

_LINKTYPE_RAW: Final = 101  # the packet begins with its IPv4 or IPv6 header
_OPT_END: Final = 0
_OPT_IF_NAME: Final = 2
_OPT_IF_TSRESOL: Final = 9
_OPT_SHB_USERAPPL: Final = 4
_OPT_EPB_FLAGS: Final = 2
_MICROSECONDS: Final = b"\x06"

_LITTLE: Final = sys.byteorder == "little"  # dpkt has a class for each order
_Section: Final = pcapng.SectionHeaderBlockLE if _LITTLE else pcapng.SectionHeaderBlock
_Interface: Final = (
    pcapng.InterfaceDescriptionBlockLE if _LITTLE else pcapng.InterfaceDescriptionBlock
)
_Enhanced: Final = pcapng.EnhancedPacketBlockLE if _LITTLE else pcapng.EnhancedPacketBlock
_Option: Final = pcapng.PcapngOptionLE if _LITTLE else pcapng.PcapngOption


class Capture:
    """One capture of one interface, from the moment it is made."""

    def __init__(self, file: BinaryIO, *, wall_offset_us: int, interface: str = "tun0") -> None:
        """`wall_offset_us` makes µs since 1970 of a `now_us`: it is added to each."""
        self._wall_offset_us = wall_offset_us
        self._file = file
        pcapng.Writer(  # the blocks at the file's beginning
            file,
            shb=_Section(opts=_options({_OPT_SHB_USERAPPL: b"pystack"})),
            idb=_Interface(
                snaplen=0,
                linktype=_LINKTYPE_RAW,
                opts=_options({_OPT_IF_NAME: interface.encode(), _OPT_IF_TSRESOL: _MICROSECONDS}),
            ),
        )
        self._flags = {
            direction: _options({_OPT_EPB_FLAGS: pack("=I", direction)})
            for direction in (INBOUND, OUTBOUND)
        }

    def write(self, packets: Iterable[Packet], now_us: int, direction: int) -> None:
        """Add packets that passed at `now_us`, INBOUND to the stack or OUTBOUND from it.

        Checksums that were left to offloading are shown complete; a run that was left to it is
        shown as the one packet it was.
        """
        stamp = now_us + self._wall_offset_us
        for packet in packets:
            octets = bytes(completed(packet))
            block = _Enhanced(
                ts_high=stamp >> 32,
                ts_low=stamp & 0xFFFF_FFFF,
                caplen=len(octets),
                pkt_len=len(octets),
                pkt_data=octets,
                opts=self._flags[direction],
            )
            # by hand, as `Writer.writepkt` takes a time of 0 for none, and puts the present there
            self._file.write(bytes(block))


def _options(values: dict[int, bytes]) -> list[Any]:
    options = [_Option(code=code, data=data) for code, data in values.items()]
    return [*options, _Option(code=_OPT_END, len=0)]

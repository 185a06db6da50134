"""Numbers of the kernel's TUN interface (linux/if_tun.h, linux/capability.h)."""

from __future__ import annotations

from typing import Final

CLONE_DEVICE: Final = "/dev/net/tun"
IFNAMSIZ: Final = 16  # with the final NUL
MAX_MTU: Final = 65535

TUNSETIFF: Final = 0x4004_54CA
TUNSETOFFLOAD: Final = 0x4004_54D0
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
IFF_VNET_HDR: Final = 0x4000
TUN_F_CSUM: Final = 1
TUN_F_TSO4: Final = 2
TUN_F_TSO6: Final = 4
TUN_F_TSO_ECN: Final = 8  # runs with CWR, which stands on the first segment alone
OFFLOADS: Final = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN

CAP_NET_ADMIN: Final = 12
CAP_SYS_ADMIN: Final = 21

"""Linux's numbers for the socket calls (`<sys/socket.h>`, `<netinet/tcp.h>`, `<poll.h>`, …).

They equal those of Python's `socket` and `select` modules on Linux, which this room does not
import because it does no I/O.
"""

from __future__ import annotations

from typing import Final

# -- families, types, protocols ----------------------------------------------------------------
AF_UNSPEC: Final = 0
AF_INET: Final = 2
AF_INET6: Final = 10
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_RAW: Final = 3
SOCK_RDM: Final = 4
SOCK_SEQPACKET: Final = 5
SOCK_MAX: Final = 11  # no type is as high
SOCK_TYPE_MASK: Final = 0xF  # the rest are flags
SOCK_NONBLOCK: Final = 0o4000
SOCK_CLOEXEC: Final = 0o2000000
IPPROTO_IP: Final = 0
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_IPV6: Final = 41
IPPROTO_MAX: Final = 263

SHUT_RD: Final = 0
SHUT_WR: Final = 1
SHUT_RDWR: Final = 2

# -- flags of send and recv ---------------------------------------------------------------------
MSG_OOB: Final = 0x1
MSG_PEEK: Final = 0x2
MSG_CTRUNC: Final = 0x8
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40
MSG_EOR: Final = 0x80
MSG_WAITALL: Final = 0x100
MSG_ERRQUEUE: Final = 0x2000
MSG_NOSIGNAL: Final = 0x4000
MSG_MORE: Final = 0x8000
MSG_FASTOPEN: Final = 0x20000000

# -- SOL_SOCKET -----------------------------------------------------------------------------------
SOL_SOCKET: Final = 1
SO_REUSEADDR: Final = 2
SO_TYPE: Final = 3
SO_ERROR: Final = 4
SO_BROADCAST: Final = 6
SO_SNDBUF: Final = 7
SO_RCVBUF: Final = 8
SO_KEEPALIVE: Final = 9
SO_OOBINLINE: Final = 10
SO_LINGER: Final = 13
SO_REUSEPORT: Final = 15
SO_RCVLOWAT: Final = 18
SO_SNDLOWAT: Final = 19
SO_ACCEPTCONN: Final = 30
SO_PROTOCOL: Final = 38
SO_DOMAIN: Final = 39
SO_MAX_PACING_RATE: Final = 47

# -- IPPROTO_TCP ----------------------------------------------------------------------------------
TCP_NODELAY: Final = 1
TCP_MAXSEG: Final = 2
TCP_CORK: Final = 3
TCP_KEEPIDLE: Final = 4
TCP_KEEPINTVL: Final = 5
TCP_KEEPCNT: Final = 6
TCP_SYNCNT: Final = 7
TCP_LINGER2: Final = 8
TCP_DEFER_ACCEPT: Final = 9
TCP_WINDOW_CLAMP: Final = 10
TCP_INFO: Final = 11
TCP_QUICKACK: Final = 12
TCP_CONGESTION: Final = 13
TCP_USER_TIMEOUT: Final = 18
TCP_NOTSENT_LOWAT: Final = 25
TCP_VARIANT: Final = 0x7073  # our own, far above Linux's: "kind=name" of a replaceable part

# -- IPPROTO_IP -----------------------------------------------------------------------------------
IP_TOS: Final = 1
IP_TTL: Final = 2
IP_MTU_DISCOVER: Final = 10
IP_RECVERR: Final = 11
IP_MTU: Final = 14
IP_PMTUDISC_DONT: Final = 0
IP_PMTUDISC_WANT: Final = 1
IP_PMTUDISC_DO: Final = 2
IP_PMTUDISC_PROBE: Final = 3
IP_PMTUDISC_INTERFACE: Final = 4
IP_PMTUDISC_OMIT: Final = 5

# -- IPPROTO_IPV6 ---------------------------------------------------------------------------------
IPV6_UNICAST_HOPS: Final = 16
IPV6_MTU_DISCOVER: Final = 23
IPV6_MTU: Final = 24
IPV6_RECVERR: Final = 25
IPV6_V6ONLY: Final = 26
IPV6_TCLASS: Final = 67

# -- poll -----------------------------------------------------------------------------------------
POLLIN: Final = 0x1
POLLPRI: Final = 0x2
POLLOUT: Final = 0x4
POLLERR: Final = 0x8
POLLHUP: Final = 0x10
POLLNVAL: Final = 0x20
POLLRDNORM: Final = 0x40
POLLWRNORM: Final = 0x100
POLLRDHUP: Final = 0x2000

# -- ioctl ----------------------------------------------------------------------------------------
SIOCOUTQ: Final = 0x5411
SIOCINQ: Final = 0x541B
SIOCATMARK: Final = 0x8905
SIOCOUTQNSD: Final = 0x894B

# -- who made an entry of the error queue (`<linux/errqueue.h>`) ---------------------------------
SO_EE_ORIGIN_LOCAL: Final = 1
SO_EE_ORIGIN_ICMP: Final = 2
SO_EE_ORIGIN_ICMP6: Final = 3

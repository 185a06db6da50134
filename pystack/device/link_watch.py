"""One link followed by a descriptor: rtnetlink tells of it, a reader of the loop hears it.

No task, so that nothing of it is among those of a program (`asyncio.all_tasks`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

from pystack.device.link import link_states, netlink_socket
from pystack.device.link_state import LinkState

_RTMGRP_LINK: Final = 1
_RTM_GETLINK: Final = 18
_NLM_F_REQUEST: Final = 1
_GET_LINK: Final = struct.Struct("=IHHII BxHiII")  # nlmsghdr, ifinfomsg (netlink(7), rtnetlink(7))
_MOST: Final = 1 << 16  # bytes of one message
_AT_ONCE: Final = 64  # messages, before others get their turn


class LinkWatch:
    """Calls `changed` with the state of a link: first as it is, then after each change, until
    `close` or until the link is gone.

    The same socket asks and hears, so the answer comes before the changes that follow it.
    """

    __slots__ = ("_socket", "_index", "_loop", "_changed", "_last", "_lost_some", "_first")

    def __init__(
        self,
        namespace: int | None,
        index: int,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[LinkState], None],
    ) -> None:
        """`namespace` is the descriptor of another network namespace, `index` the interface's.
        `changed` is first called in the loop's next turn. Raises OSError."""
        self._index = index
        self._loop = loop
        self._changed = changed
        self._last: LinkState | None = None
        self._lost_some = False
        sock = netlink_socket(namespace)
        self._socket: socket.socket | None = sock
        try:
            sock.setblocking(False)
            sock.bind((0, _RTMGRP_LINK))
            self._ask(sock)
        except BaseException:
            sock.close()
            raise
        # the kernel has answered already: to wait for it by a reader would put a callback of ours
        # behind those of the program, in a turn that is its own
        self._first = loop.call_soon(self._begin)

    def close(self) -> None:
        """Hear no more. May be called again."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._first.cancel()
            if not self._loop.is_closed():
                self._loop.remove_reader(sock.fileno())
            sock.close()

    def _ask(self, sock: socket.socket) -> None:
        header = (_GET_LINK.size, _RTM_GETLINK, _NLM_F_REQUEST, 0, 0)
        sock.send(_GET_LINK.pack(*header, 0, 0, self._index, 0, 0))

    def _begin(self) -> None:
        self._on_readable()
        if self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        try:
            for _ in range(_AT_ONCE):
                self._hear()
        except BlockingIOError:
            pass
        except OSError as error:
            self.close()
            message = f"the link can no longer be watched: {os.strerror(error.errno or 0)}"
            self._loop.call_exception_handler({"message": message, "exception": error})

    def _hear(self) -> None:
        """Take one message. Raises BlockingIOError when there is none."""
        sock = self._socket
        if sock is None:
            raise BlockingIOError
        try:
            states = link_states(sock.recv(_MOST), self._index)
        except BlockingIOError:
            if self._lost_some:
                self._lost_some = False
                self._ask(sock)
            raise
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._lost_some = True  # an answer would be lost as well, until the rest is taken
            return
        for state in states:
            self._tell(state)

    def _tell(self, state: LinkState) -> None:
        if state == self._last or self._socket is None:
            return
        self._last = state
        if not state.present:
            self.close()
        self._changed(state)

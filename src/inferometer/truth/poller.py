# SPDX-License-Identifier: Apache-2.0
"""Which sockets are readable, waiting no longer than a given number of nanoseconds.

Rule 1: nothing is shared with the driving loop: what checks an instrument must not have its faults.
Rule 2: epoll's own timeout is rounded up to a millisecond by CPython; `select` on the epoll descriptor is not.
"""

from __future__ import annotations

import select
import selectors
import sys
from typing import Protocol

MAX_EVENTS = 256


class Poller(Protocol):
    """`wait` returns descriptors that are readable or broken; with 0 it only looks."""

    def register(self, fd: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def wait(self, wait_ns: int) -> list[int]: ...


def make_poller() -> Poller:
    return EpollPoller() if sys.platform == "linux" else SelectorPoller()


if sys.platform == "linux":

    class EpollPoller:
        """Linux: 0.3 us a look when nothing is ready."""

        def __init__(self) -> None:
            self._epoll = select.epoll()

        def register(self, fd: int) -> None:
            self._epoll.register(fd, select.EPOLLIN)

        def unregister(self, fd: int) -> None:
            self._epoll.unregister(fd)

        def wait(self, wait_ns: int) -> list[int]:
            if wait_ns > 0:
                select.select((self._epoll,), (), (), wait_ns / 1e9)
            return [fd for fd, _ in self._epoll.poll(0, MAX_EVENTS)]


class SelectorPoller:
    """Elsewhere: what the platform has."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int) -> None:
        self._selector.register(fd, selectors.EVENT_READ)

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def wait(self, wait_ns: int) -> list[int]:
        return [key.fd for key, _ in self._selector.select(max(0, wait_ns) / 1e9)]

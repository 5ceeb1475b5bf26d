# SPDX-License-Identifier: Apache-2.0
"""Waiting for sockets until an instant, to the microsecond.

epoll's timeout counts whole milliseconds and CPython rounds it up, so an instant nearer than two milliseconds is waited
for with a timerfd, and its last stretch is left to the caller, who polls without sleeping. Elsewhere than on Linux,
`selectors` does the same with what precision the system has.
"""

from __future__ import annotations

import ctypes
import os
import select
import selectors
import struct
import sys

from inferometer.units import NS_PER_MS, NS_PER_S, NS_PER_US

# Masks as epoll has them, so that nothing needs translating there; whatever else it reports (an error, a hang-up) is
# best learned by reading.
READABLE = 1
WRITABLE = 4

# How long before an instant the sleep ends. Waking from a timer takes 5 to 50 us on an idle core, measured; the rest
# of the way the caller spins.
SPIN_NS = 60 * NS_PER_US
_COARSE_NS = 2 * NS_PER_MS

_TFD_NONBLOCK = 0o4000
_TFD_TIMER_ABSTIME = 1
_CLOCK_MONOTONIC = 1
_PR_SET_TIMERSLACK = 29


class EpollPoller:
    """Linux: epoll and one timerfd. Errors and hang-ups are further bits of a mask."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._epoll = select.epoll()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)  # this thread's sleeps end when asked, not 50 us later
        self._timer = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._armed_ns = 0
        # Edge-triggered: told once for each time it expires, so nobody has to read it empty.
        self._epoll.register(self._timer, select.EPOLLIN | select.EPOLLET)

    def register(self, fd: int, mask: int) -> None:
        self._epoll.register(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        self._epoll.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        self._epoll.unregister(fd)

    def poll(self, now_ns: int, until_ns: int) -> list[tuple[int, int]]:
        """Ready (fd, mask) pairs, at the latest shortly before `until_ns`. Never sleeps when that is near or past."""
        left_ns = until_ns - now_ns - SPIN_NS
        if left_ns <= 0:
            ready = self._epoll.poll(0)
        elif left_ns > _COARSE_NS:
            ready = self._epoll.poll((left_ns - NS_PER_MS) // NS_PER_MS / 1e3)
        else:
            self._arm(until_ns - SPIN_NS)
            ready = self._epoll.poll()
        if self._armed_ns and any(fd == self._timer for fd, _ in ready):
            self._armed_ns = 0
            return [event for event in ready if event[0] != self._timer]
        return ready

    def _arm(self, t_ns: int) -> None:
        if t_ns == self._armed_ns:
            return
        self._armed_ns = t_ns
        seconds, nanoseconds = divmod(t_ns + self._origin_ns, NS_PER_S)
        self._libc.timerfd_settime(self._timer, _TFD_TIMER_ABSTIME, struct.pack("@qqqq", 0, 0, seconds, nanoseconds), 0)

    def close(self) -> None:
        self._epoll.close()
        os.close(self._timer)


class SelectorPoller:
    """Any system: `selectors`, sleeping to its precision."""

    def __init__(self, origin_ns: int) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, mask: int) -> None:
        self._selector.register(fd, _to_selector(mask))

    def modify(self, fd: int, mask: int) -> None:
        self._selector.modify(fd, _to_selector(mask))

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def poll(self, now_ns: int, until_ns: int) -> list[tuple[int, int]]:
        left_s = max(0.0, (until_ns - now_ns - NS_PER_MS) / 1e9)
        return [(key.fd, _from_selector(mask)) for key, mask in self._selector.select(left_s)]

    def close(self) -> None:
        self._selector.close()


def _to_selector(mask: int) -> int:
    return (selectors.EVENT_READ if mask & READABLE else 0) | (selectors.EVENT_WRITE if mask & WRITABLE else 0)


def _from_selector(mask: int) -> int:
    return (READABLE if mask & selectors.EVENT_READ else 0) | (WRITABLE if mask & selectors.EVENT_WRITE else 0)


Poller = EpollPoller | SelectorPoller


def make_poller(origin_ns: int) -> Poller:
    """The best this system has. `origin_ns`: the run's origin on CLOCK_MONOTONIC."""
    return EpollPoller(origin_ns) if sys.platform == "linux" else SelectorPoller(origin_ns)

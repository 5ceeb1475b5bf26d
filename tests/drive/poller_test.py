# SPDX-License-Identifier: Apache-2.0
"""Waiting: the right descriptor at once, nothing else ever, and back in time for the instant asked for."""

from __future__ import annotations

import socket
import sys

import pytest

from inferometer.clock import Clock
from inferometer.drive.poller import READABLE, WRITABLE, EpollPoller, SelectorPoller, make_poller
from inferometer.units import NS_PER_MS, NS_PER_S

KINDS = [SelectorPoller, pytest.param(EpollPoller, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux"))]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=KINDS)
def poller(request, clock):
    poller = request.param(clock.origin_ns)
    yield poller
    poller.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def wait(poller, clock, seconds):
    now_ns = clock.now_ns()
    return poller.poll(now_ns, now_ns + round(seconds * NS_PER_S))


def test_data_wakes_at_once_and_names_the_descriptor(poller, clock, pair):
    ours, theirs = pair
    others = [socket.socketpair() for _ in range(3)]
    for other, _ in others:
        poller.register(other.fileno(), READABLE)
    poller.register(ours.fileno(), READABLE)
    theirs.send(b"x")
    assert wait(poller, clock, 60) == [(ours.fileno(), READABLE)]
    assert ours.recv(10) == b"x"
    assert wait(poller, clock, 0) == []
    for a, b in others:
        a.close()
        b.close()


def test_what_is_asked_for_can_change(poller, clock, pair):
    ours, theirs = pair
    poller.register(ours.fileno(), READABLE)
    assert wait(poller, clock, 0) == []
    poller.modify(ours.fileno(), READABLE | WRITABLE)
    assert wait(poller, clock, 60) == [(ours.fileno(), WRITABLE)]
    theirs.send(b"x")
    assert wait(poller, clock, 60) == [(ours.fileno(), READABLE | WRITABLE)]
    poller.unregister(ours.fileno())
    assert wait(poller, clock, 0) == []


def test_a_hang_up_is_something_to_read(poller, clock, pair):
    ours, theirs = pair
    poller.register(ours.fileno(), READABLE)
    theirs.close()
    [(fd, mask)] = wait(poller, clock, 60)
    assert fd == ours.fileno()
    assert mask & READABLE


def test_a_refused_connection_is_something_to_look_at(poller, clock):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with socket.socket() as ours:
            ours.setblocking(False)
            ours.connect_ex(nobody.getsockname())
            poller.register(ours.fileno(), WRITABLE)
            [(fd, mask)] = wait(poller, clock, 60)
            assert fd == ours.fileno()
            assert mask & WRITABLE
            poller.unregister(ours.fileno())


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.0005, 0.0015, 0.003, 0.02])
def test_nothing_is_reported_when_only_time_passes(poller, clock, pair, seconds):
    """Far, near and past instants: the timer that wakes us is nobody's descriptor, and nothing sleeps for ever."""
    poller.register(pair[0].fileno(), READABLE)
    for _ in range(3):
        until_ns = clock.now_ns() + round(seconds * NS_PER_S)
        n_polls = 0
        while (now_ns := clock.now_ns()) < until_ns:
            assert poller.poll(now_ns, until_ns) == []
            n_polls += 1
        assert n_polls > 0 or seconds == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
@pytest.mark.parametrize("wait_ns", [NS_PER_MS, 10 * NS_PER_MS])
def test_epoll_is_back_before_the_instant_to_spin_the_rest(clock, pair, wait_ns):
    """Not a claim about punctuality: of many tries one must be early, or the last stretch could never be spun."""
    poller = EpollPoller(clock.origin_ns)
    poller.register(pair[0].fileno(), READABLE)
    n_early = 0
    for _ in range(50):
        until_ns = clock.now_ns() + wait_ns
        poller.poll(clock.now_ns(), until_ns)
        n_early += clock.now_ns() < until_ns
    poller.close()
    assert n_early > 0


def test_an_instant_that_comes_nearer_is_waited_for_anew(poller, clock, pair):
    ours, theirs = pair
    poller.register(ours.fileno(), READABLE)
    far_ns = clock.now_ns() + round(1.9 * NS_PER_MS)
    poller.poll(clock.now_ns(), far_ns - NS_PER_MS)
    theirs.send(b"x")
    assert poller.poll(clock.now_ns(), far_ns) == [(ours.fileno(), READABLE)]
    assert ours.recv(1) == b"x"
    while (now_ns := clock.now_ns()) < far_ns + 3 * NS_PER_MS:  # the old instant passes meanwhile, and says nothing
        assert poller.poll(now_ns, far_ns + 3 * NS_PER_MS) == []


def test_the_best_there_is(clock):
    poller = make_poller(clock.origin_ns)
    assert isinstance(poller, EpollPoller if sys.platform == "linux" else SelectorPoller)
    poller.close()

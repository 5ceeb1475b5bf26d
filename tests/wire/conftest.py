# SPDX-License-Identifier: Apache-2.0
"""Feeding the wire: every case whole, byte by byte, at random cuts and with trailing bytes, through one helper."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from inferometer.wire.errors import RemoteProtocolError
from inferometer.wire.http1 import Framing, Head

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
N_RANDOM_CUTS = 6


def cut_every_way(data: bytes, n_random: int = N_RANDOM_CUTS) -> Iterator[list[bytes]]:
    """`data` as lists of reads: in one, byte by byte, and at random places (some reads empty). Always the same ones."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    rng = random.Random(len(data))
    for _ in range(n_random):
        places = sorted(rng.choices(range(len(data) + 1), k=rng.randint(1, 8)))
        yield [data[start:stop] for start, stop in pairwise([0, *places, len(data)])]


@dataclass(frozen=True)
class Reading:
    """What came of following one answer. `fault`: how the peer broke HTTP; the other fields are then unset."""

    head: Head | None = None
    body: bytes = b""
    is_done: bool = False
    keeps_alive: bool = False
    n_unused: int = 0
    fault: str = ""


def follow_reads(reads: list[bytes], is_closed: bool, is_head_request: bool) -> Reading:
    framing = Framing(is_head_request)
    body = b""
    n_unused = 0
    try:
        for data in reads:
            framing.n_unused = 0
            spans = framing.feed(data)
            assert all(start < stop <= len(data) for start, stop in spans)
            assert all(left[1] <= right[0] for left, right in pairwise(spans))
            body += b"".join(data[start:stop] for start, stop in spans)
            n_unused += framing.n_unused
        if is_closed:
            framing.eof()
    except RemoteProtocolError as error:
        return Reading(None, b"", framing.is_done, framing.keeps_alive, 0, str(error))
    return Reading(framing.head, body, framing.is_done, framing.keeps_alive, n_unused)


Follow = Callable[..., Reading]


@pytest.fixture(scope="session")
def follow() -> Follow:
    """Follow an answer under every cut; all must agree (on the fault as such, whose wording may tell more or less)."""

    def check(data: bytes, is_closed: bool = False, is_head_request: bool = False) -> Reading:
        whole, *others = (follow_reads(reads, is_closed, is_head_request) for reads in cut_every_way(data))
        if whole.fault:
            assert not whole.is_done
            assert not whole.keeps_alive
            assert "\n" not in whole.fault
        for other in others:
            assert bool(other.fault) == bool(whole.fault), (other.fault, whole.fault)
            assert whole.fault or other == whole
        if whole.is_done and not is_closed and not whole.n_unused:
            for reads in cut_every_way(data + b"HTTP/1.1 trailing"):
                longer = follow_reads(reads, is_closed, is_head_request)
                assert (longer.head, longer.body, longer.is_done) == (whole.head, whole.body, True)
                assert longer.n_unused == len(b"HTTP/1.1 trailing")
                assert not longer.keeps_alive
        return whole

    return check


@pytest.fixture(scope="session")
def cuts() -> Callable[..., Iterator[list[bytes]]]:
    return cut_every_way


@pytest.fixture(scope="session")
def transcripts() -> dict[str, tuple[bytes, bytes]]:
    """Name -> (head with its blank line, body), of every recorded answer."""
    found = {}
    for path in sorted(TRANSCRIPTS.glob("*.http")):
        head, blank, body = path.read_bytes().partition(b"\r\n\r\n")
        found[path.stem] = (head + blank, body)
    return found

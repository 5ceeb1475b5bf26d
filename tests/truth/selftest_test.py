# SPDX-License-Identifier: Apache-2.0
"""The ladder: what a load is, when it is too much, what is said about it; and one climb with the plainest client."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest

from inferometer.clock import Clock
from inferometer.kinds import ChunkKind
from inferometer.records import CHUNK, Trace, empty_requests
from inferometer.truth.log import Errors, Lateness, Spread
from inferometer.truth.selftest import HEADING, LADDER, Budget, Load, Rung, climb, line, lines, verdict

US = 1_000


def errors_of(ttft_us=10, gap_us=5, *, n_requests=2, n_unknown=0, n_lost=0, n_extra=0):
    return Errors(
        ttft_ns=np.full(2, ttft_us * US),
        gap_ns=np.full(4, gap_us * US),
        e2e_ns=np.zeros(2, np.int64),
        sent_ns=np.zeros(2, np.int64),
        n_requests=n_requests,
        n_unknown=n_unknown,
        n_lost=n_lost,
        n_extra=n_extra,
        n_reads=200,
        n_merged=1,
    )


SPREAD = Spread(2e-6, 2e-6, 31e-6, 1e-3, 6)
SERVER = Lateness(SPREAD, SPREAD, 6, 99.7, 100.0, 0.0)
LOAD = Load(2, 50, n_chunks=3)


def rung(load=LOAD, **errors):
    told = errors_of(**errors)
    return Rung(load, told, SERVER, SPREAD, Budget().reasons(load, told))


def test_a_load_knows_its_size():
    load = Load(10, 50, n_chunks=26, ttft_s=0.5, n_rounds=2)
    assert (load.name, load.n_requests, load.rate_per_s, load.duration_s) == ("10 x 50/s together", 20, 500, 2.0)
    assert (load.prescription.ttft_ms, load.prescription.gap_ms, load.prescription.n_chunks) == (500, 20, 26)
    assert Load(10, 50, n_chunks=26, release_s=1.0).name == "10 x 50/s spread"


def test_the_ladder_goes_up_in_steps_of_seconds():
    rates = [load.rate_per_s for load in LADDER]
    assert rates == sorted(rates)
    assert all(1 < load.duration_s < 6 for load in LADDER)
    assert Load(256, 50, n_chunks=100, n_rounds=2) in LADDER


def test_a_load_of_which_nothing_is_left_says_so():
    none = np.zeros(0, np.int64)
    told = Errors(none, none, none, none, 0, n_unknown=0, n_lost=0, n_extra=0, n_reads=0, n_merged=0)
    empty = Rung(LOAD, told, SERVER, SPREAD, Budget().reasons(LOAD, told))
    assert empty.reasons[:2] == tuple(f"nothing was left to tell a {name} error from" for name in ("TTFT", "gap"))
    assert "0 of 2 requests could be compared" in empty.reasons
    assert "nan" not in line(empty)


@pytest.mark.parametrize(
    ("errors", "word"),
    [
        ({"ttft_us": 1001}, "TTFT"),
        ({"gap_us": -1001}, "gap"),
        ({"n_requests": 1}, "1 of 2 requests"),
        ({"n_unknown": 1}, "2 of 2 requests"),
        ({"n_lost": 3}, "3 chunks sent but not recorded"),
        ({"n_extra": 3}, "3 recorded but not sent"),
    ],
)
def test_what_is_beyond_the_budget(errors, word):
    told = rung(**errors)
    assert not told.is_within
    assert len(told.reasons) == 1
    assert word in told.reasons[0]


def test_within_the_budget():
    assert rung(ttft_us=1000, gap_us=-1000).is_within


def test_nothing_compared_is_beyond_the_budget():
    nothing = Errors(*[np.zeros(0, np.int64)] * 4, *[0] * 6)
    assert len(Budget().reasons(LOAD, nothing)) == 3


def test_the_verdict_names_the_last_load_within_and_what_ended_it():
    bigger = Load(4, 50, n_chunks=3)
    assert verdict([rung()]) == "trustworthy up to 100 chunks/s on this machine, the highest load tried"
    assert verdict([rung(), rung(bigger, gap_us=2500, n_requests=4)]) == (
        "trustworthy up to 100 chunks/s on this machine; beyond the budget at 4 x 50/s together: "
        "gap error 2.50 ms at p99, the budget is 1.00 ms"
    )
    assert verdict([rung(gap_us=2500)]).startswith("not trustworthy on this machine, already at 2 x 50/s together: ")


def test_the_table_is_aligned():
    table = lines([rung()])
    assert table[:2] == list(HEADING)
    assert len({len(text) for text in table[:3]}) == 1
    assert line(rung()).split("|")[1].split() == ["10", "10", "10", "10"]
    assert line(rung()).split("|")[2].split() == ["5.0", "5.0", "5.0", "5.0"]


def measure(url, load):
    """One stream after the other with http.client, stamped when a line is there: late, but never early."""
    clock = Clock()
    rows = empty_requests(load.n_requests)
    chunks = []
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    for i in range(load.n_requests):
        rows["t_sent_ns"][i] = clock.now_ns()
        connection.request("POST", "/v1/chat/completions", '{"stream":true}', {"x-request-id": f"{i}-test"})
        answer = connection.getresponse()
        rows["chunk_start"][i] = len(chunks)
        while text := answer.readline():
            if b'"content":" ' in text:
                t_ns = clock.now_ns()
                chunks.append((i, ChunkKind.CONTENT, 1, 6, len(chunks), t_ns, t_ns))
        rows["n_chunks"][i] = len(chunks) - rows["chunk_start"][i]
    return Trace(rows, np.array(chunks, CHUNK), meta={"clock": {"origin_ns": clock.origin_ns}})


def test_a_climb_against_a_running_server():
    ladder = [Load(1, 200, n_chunks=5, ttft_s=0.01, n_rounds=3), Load(1, 400, n_chunks=5, ttft_s=0.01, n_rounds=2)]
    slack = Budget(ttft_p99_s=60, gap_p99_s=60)
    rungs = list(climb(measure, ladder, slack))
    assert [rung.load for rung in rungs] == ladder
    for told in rungs:
        assert told.reasons == ()
        assert told.errors.n_requests == told.load.n_requests
        assert len(told.errors.gap_ns) == told.load.n_requests * 4
        assert (told.errors.ttft_ns > 0).all()  # nothing is received before it is sent
        assert (told.errors.sent_ns > 0).all()
        assert told.server.n_chunks == told.load.n_requests * 5


def test_a_climb_ends_where_the_budget_does():
    ladder = [Load(1, 400, n_chunks=2, ttft_s=0.001)] * 3
    assert len(list(climb(measure, ladder, Budget(ttft_p99_s=1e-9)))) == 1

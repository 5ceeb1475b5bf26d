# SPDX-License-Identifier: Apache-2.0
"""A surge on queues whose every wait can be worked out: in order, last come first, with refusals, with a slow end."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.points import number
from tests.metrics.traces import CONTENT, make_trace, request

from inferometer.analysis.overload import is_slower_machine, overload_of, sheds
from inferometer.kinds import Outcome
from inferometer.plan.schedule import open_loop, parse_arrivals
from inferometer.stats import Estimate
from inferometer.units import NS_PER_MS as MS
from inferometer.units import NS_PER_S as S

SERVICE_MS = 50  # one server: 20 requests a second at most
FROM_S, UNTIL_S, END_S = 5, 10, 30
PLATEAU = number(1000 / SERVICE_MS, "1/s", half=0.02)


def due_instants(seed=1):
    (stages,) = open_loop(6, parse_arrivals("surge:6,5s,10s"), seed=seed, for_s=END_S).trials
    return stages[0].due_ns.tolist()


def served(due, *, last_first=False, slow_until_s=0.0, most_waiting=None):
    """Rows of a queue before one server. `slow_until_s`: from the surge until then it takes twice as long; beyond
    `most_waiting` it refuses with 429."""
    rows, waiting, coming, free = {}, [], list(due), 0
    while coming or waiting:
        if not waiting:
            waiting.append(coming.pop(0))
            free = max(free, waiting[0])
        while coming and coming[0] <= free:
            t = coming.pop(0)
            if most_waiting is not None and len(waiting) >= most_waiting:
                rows[t] = request(due=t, end=t + MS, outcome=Outcome.HTTP_STATUS, status=429, error="too many requests")
            else:
                waiting.append(t)
        t = waiting.pop(-1 if last_first else 0)
        is_slow = FROM_S * S <= free < slow_until_s * S
        end = free + (2 if is_slow else 1) * SERVICE_MS * MS
        rows[t] = request(due=t, chunks=[(end, CONTENT, 1)], end=end)
        free = end
    return [rows[t] for t in due]


def overload(rows, **changes):
    trace = make_trace(*rows, windows=[{"trial": 0, "t_start_ns": 0, "t_end_ns": END_S * S}])
    fields = {"rate": 6, "surge_rate": 36, "from_s": FROM_S, "until_s": UNTIL_S, "plateau": PLATEAU, "plateau_load": 1}
    return overload_of(trace, **(fields | changes))


def test_a_queue_in_order_keeps_its_throughput_and_works_off_what_stands():
    found = overload(served(due_instants()))
    assert found.word == "queues"
    assert found.counts["ok"] == sum(found.counts.values()) > 120
    assert found.kept.value == pytest.approx(1.0, abs=0.03)
    assert found.recovery.lo <= found.recovery.value <= found.recovery.hi
    assert found.recovery.value == pytest.approx(found.least_recovery_s, rel=0.3)
    assert found.unfair.value == pytest.approx(1.0, abs=0.15)


def test_who_waits_behind_later_ones_is_seen():
    found = overload(served(due_instants(), last_first=True))
    assert found.unfair.value > 2
    assert found.kept.value == pytest.approx(1.0, abs=0.03), "it is no slower for that"


def test_refusals_are_told_from_failures():
    found = overload(served(due_instants(), most_waiting=5))
    assert found.word == "sheds"
    assert found.counts["shed"] > 20
    assert found.counts["failed"] == 0
    assert found.refusal.value == pytest.approx(0.001)
    assert found.says == "too many requests"
    assert sheds(make_trace(*served(due_instants(), most_waiting=5)))
    assert not sheds(make_trace(*served(due_instants())))
    assert isinstance(found.recovery.figure, Estimate)
    assert found.recovery.value < 1.0, "nothing much stood in its queue"


def test_connections_that_break_are_failures():
    rows = served(due_instants(), most_waiting=5)
    for i, row in enumerate(rows):
        if row.columns["outcome"] is Outcome.HTTP_STATUS:
            broken = {"outcome": Outcome.RESET, "status": -1, "error": "connection reset by peer"}
            rows[i] = type(row)(row.columns | broken, row.chunks)
    assert overload(rows).word == "fails"


def test_what_failures_were_told_is_not_what_the_others_were():
    rows = served(due_instants(), most_waiting=5)
    refused = [i for i, row in enumerate(rows) if row.columns["outcome"] is Outcome.HTTP_STATUS]
    for i in refused[::3]:
        broken = {"outcome": Outcome.RESET, "status": -1, "error": "connection reset by peer"}
        rows[i] = type(rows[i])(rows[i].columns | broken, rows[i].chunks)
    found = overload(rows)
    assert found.counts["shed"] > found.counts["failed"] > 2
    assert (found.word, found.says) == ("fails", "connection reset by peer")


def test_who_is_slower_while_overloaded_collapses():
    found = overload(served(due_instants(), slow_until_s=60.0))
    assert found.word == "collapses"
    assert found.kept.hi < 0.8
    assert found.recovery.value is None
    assert found.recovery.missing.startswith("not back within")


def test_without_a_plateau_nothing_is_held_against_it():
    found = overload(served(due_instants()), is_plateau=False)
    assert "was not reached" in found.kept.missing
    assert found.least_recovery_s is None
    assert found.recovery.value is not None


def test_what_is_borne_is_no_overload():
    rows = [request(due=t, chunks=[(t + 20 * MS, CONTENT, 1)], end=t + 20 * MS) for t in due_instants()]
    found = overload(rows, plateau=number(100, "1/s"), plateau_load=2)
    assert found.word == "bears"
    assert found.recovery.lo == 0.0


def test_too_few_requests_before_the_surge_tell_nothing_after_it():
    rows = served([t for t in due_instants() if t > 4.5 * S])
    found = overload(rows)
    assert found.recovery.missing.startswith("needs 8 requests before the surge")


def test_the_same_seed_the_same_answer():
    assert overload(served(due_instants(3))) == overload(served(due_instants(3)))
    assert np.isfinite(overload(served(due_instants(4))).recovery.value)


def test_whoever_still_waits_when_the_surge_begins_is_no_measure_of_the_time_before():
    due = sorted([*due_instants(), FROM_S * S - 20 * MS, FROM_S * S - 10 * MS, FROM_S * S - MS])
    rows = served(due, last_first=True)
    trace = make_trace(*rows)
    early = trace.requests[trace.requests["t_due_ns"] < FROM_S * S]
    assert (early["t_first_content_ns"] - early["t_due_ns"]).max() > 5 * S
    found = overload(rows)
    assert found.word == "queues"
    assert found.unfair.lo > 1.5


@pytest.mark.parametrize(
    ("again", "half", "drift", "is_slower"),
    [
        (0.7, 0.1, 0.7, True),  # the machine: one alone is as much slower
        (0.7, 0.1, 0.85, True),
        (0.7, 0.1, 0.9, False),  # the engine: one alone is hardly slower
        (0.4, 0.1, 1.0, False),
        (0.95, 0.1, 0.8, False),  # not surely lower
        (0.7, 0.1, None, False),  # one alone was not measured again
    ],
)
def test_the_machine_is_slower_only_if_one_request_alone_is_too(again, half, drift, is_slower):
    figure = number(again, "ratio", half=half).figure
    alone = None if drift is None else number(drift, "ratio")
    assert is_slower_machine(figure, alone) == is_slower


def test_overload_is_held_to_the_plateau_that_it_is_given():
    rows = served(due_instants(), slow_until_s=END_S)
    assert overload(rows).word == "collapses"
    later = overload(rows, plateau=number(500 / SERVICE_MS, "1/s", half=0.02), again=number(0.5, "ratio"))
    assert later.word == "queues"
    assert later.is_slower_after

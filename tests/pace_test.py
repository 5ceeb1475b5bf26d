# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from inferometer.config import Experiment
from inferometer.experiment.pace import Pace
from inferometer.experiment.sizing import n_requests_of, schedule_of
from inferometer.kinds import Outcome, Phase
from inferometer.records import REQUEST, Array

LOAD = Experiment(url="http://127.0.0.1:1", for_s=20.0)


def answered(taken_s: float, *, n: int = 10, outcome: Outcome = Outcome.OK) -> Array:
    rows = np.zeros(n, REQUEST)
    rows["phase"], rows["outcome"] = Phase.MAIN, outcome
    rows["t_sent_ns"] = np.arange(n) * 1_000_000
    rows["t_last_content_ns"] = rows["t_sent_ns"] + round(taken_s * 1e9)
    return rows


def of(concurrency: int, **fields: object) -> Experiment:
    return Experiment(**{"url": LOAD.url, "for_s": 20.0, "concurrency": concurrency, **fields})  # type: ignore[arg-type]


def test_what_was_seen_under_as_much_or_less_is_the_least_that_it_takes():
    pace = Pace()
    assert pace.at_least_s(of(4)) is None
    pace.learn(of(1), answered(0.05))
    pace.learn(of(8), answered(0.6))
    assert [pace.at_least_s(of(n)) for n in (1, 4, 8, 16)] == pytest.approx([0.05, 0.05, 0.6, 0.6])


def test_a_run_while_the_machine_was_slow_is_no_bound():
    pace = Pace()
    for taken_s in (0.9, 0.5, 0.7):
        pace.learn(of(4), answered(taken_s))
    assert pace.at_least_s(of(4)) == pytest.approx(0.5)


def test_other_lengths_are_another_pace():
    pace = Pace()
    pace.learn(of(1), answered(0.05))
    assert pace.at_least_s(of(1, input_tokens="1000")) is None


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        (of(4), answered(0.1, outcome=Outcome.RESET)),
        (of(4), answered(0.1, n=3)),
        (Experiment(url=LOAD.url, rate=2.0), answered(0.1)),
    ],
    ids=["nothing but failures", "too few", "open loop"],
)
def test_nothing_is_learned_of_what_says_nothing(config, rows):
    pace = Pace()
    pace.learn(config, rows)
    assert pace.at_least_s(of(64)) is None


def test_a_plan_has_no_more_prompts_than_the_pace_allows():
    schedule = schedule_of(of(16))
    assert n_requests_of(schedule, 0.05) > 9_000  # 16 slots for 20 s, each as fast as one alone
    assert 20 * 16 / 1.2 < n_requests_of(schedule, 1.2) < 600

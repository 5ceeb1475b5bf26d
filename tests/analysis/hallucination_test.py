# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from inferometer.analysis.hallucination import Judged, area, consistency, entropy, hallucination


def judged(n, verdict, *, is_told=True, is_in_text=False):
    return [Judged(is_told, verdict, is_in_text, 5)] * n


def test_the_example_of_the_handbook():
    """22 % right, 52 % abstained, 26 % wrong against 24, 1 and 75: the second is right more often, and scores worse."""
    careful = hallucination("x", judged(22, "right") + judged(52, "abstained") + judged(26, "wrong"))
    bold = hallucination("x", judged(24, "right") + judged(1, "abstained") + judged(75, "wrong"))
    assert [score.mean.value for score in careful.scores[:2]] == [pytest.approx(-0.04), pytest.approx(-0.56)]
    assert [score.mean.value for score in bold.scores[:2]] == [pytest.approx(-0.51), pytest.approx(-2.01)]
    assert careful.rate.value == pytest.approx(26 / 78)
    assert careful.right_when_answering.value == pytest.approx(22 / 48)
    assert careful.f.value == pytest.approx(2 * 0.22 * (22 / 48) / (0.22 + 22 / 48))
    assert careful.f.lo < careful.f.value < careful.f.hi


def test_answers_where_there_is_none_are_inventions_and_refusals_where_there_is_one_are_counted():
    found = hallucination(
        "x",
        judged(8, "right")
        + judged(2, "abstained")
        + judged(7, "abstained", is_told=False)
        + judged(2, "wrong", is_told=False, is_in_text=True)
        + judged(1, "wrong", is_told=False),
    )
    assert (found.n_told, found.n_untold) == (10, 10)
    assert found.invented.value == pytest.approx(0.3)
    assert found.refused.value == pytest.approx(0.2)
    assert found.mistaken.value == pytest.approx(2 / 3)
    assert found.rate.value == pytest.approx(3 / 12)


def test_nothing_asked_is_nothing_told():
    found = hallucination("x", [])
    assert found.invented.value is None
    assert found.scores[0].mean.value is None


@pytest.mark.parametrize(
    ("counts", "nats"), [((10,), 0.0), ((9, 1), 0.325), ((5, 5), 0.693), ((1,) * 10, math.log(10))]
)
def test_entropy_of_ten_answers(counts, nats):
    answers = [str(i) for i, n in enumerate(counts) for _ in range(n)]
    assert entropy(answers) == pytest.approx(nats, abs=5e-4)


def test_wrong_answers_that_change_are_given_away_by_it():
    samples = [["a"] * 4] * 10 + [["a", "b", "c", "d"]] * 10
    found = consistency(samples, judged(10, "right") + judged(10, "wrong"), temperature=1.0)
    assert found.unanimous.value == 0.5
    assert found.gives_away.value == 1.0
    assert found.length_gives_away.value == 0.5
    few = consistency(samples[:12], judged(10, "right") + judged(2, "wrong"), temperature=1.0)
    assert few.gives_away.missing == "needs 5 right and wrong, has 10 and 2"
    assert consistency([], [], temperature=1.0) is None


def test_what_tells_nothing_lies_around_a_half():
    rng, covered = np.random.default_rng(2), 0
    for _ in range(200):
        found = area(rng.random(100), rng.random(100) < 0.4)
        covered += found.lo < 0.5 < found.hi
    assert covered / 200 > 0.91

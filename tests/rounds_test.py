# SPDX-License-Identifier: Apache-2.0
"""The order of turns: balanced, by lot, and so that a steady drift adds to both sides alike."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.experiment.rounds import orders_of


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 15])
def test_each_side_comes_first_equally_often(n):
    orders = orders_of(n, np.random.default_rng(1))
    assert len(orders) == n
    assert sum(orders) in (n // 2, (n + 1) // 2)


def test_the_odd_round_is_drawn_by_lot():
    firsts = {sum(orders_of(5, np.random.default_rng(seed))) for seed in range(20)}
    assert firsts == {2, 3}


def test_every_round_is_as_likely_to_begin_with_either_side():
    orders = np.array([orders_of(8, np.random.default_rng(seed)) for seed in range(400)])
    assert np.abs(orders.mean(axis=0) - 0.5).max() < 0.1  # four standard errors
    assert len({tuple(order) for order in orders.tolist()}) > 60  # of 70


def test_a_steady_drift_favours_neither_side():
    """Turn i takes i longer; the sides differ by less than one turn on the average over lots."""
    differences = []
    for seed in range(200):
        turns = np.arange(16.0).reshape(8, 2)
        is_a_first = np.array(orders_of(8, np.random.default_rng(seed)))
        a = np.where(is_a_first, turns[:, 0], turns[:, 1])
        differences.append(float((turns.sum(axis=1) - 2 * a).mean()))
    assert max(map(abs, differences)) < 1e-9

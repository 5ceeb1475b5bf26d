# SPDX-License-Identifier: Apache-2.0
"""The Pareto front: who is beaten by nobody in both."""

from __future__ import annotations

import numpy as np

from inferometer.analysis.front import on_front


def test_only_who_is_beaten_in_both_is_left_out():
    more, less = np.array([10.0, 8.0, 7.0, 9.0]), np.array([5.0, 1.0, 2.0, 5.0])
    assert on_front(more, less).tolist() == [True, True, False, False]


def test_equals_do_not_beat_each_other():
    assert on_front(np.array([1.0, 1.0]), np.array([2.0, 2.0])).tolist() == [True, True]


def test_who_has_not_both_numbers_is_not_on_it_and_beats_nobody():
    assert on_front(np.array([np.nan, 1.0]), np.array([0.0, 2.0])).tolist() == [False, True]

# SPDX-License-Identifier: Apache-2.0
"""The ladder of a sweep as it is written."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.probes.sweep import parse_ladder


def test_loads_come_in_ascending_order_and_once():
    assert parse_ladder("8,1,2,2", None).loads == (1, 2, 8)
    assert parse_ladder(None, "2, .5,1").loads == (0.5, 1, 2)
    assert parse_ladder("auto", None).is_auto


@pytest.mark.parametrize("loads", ["0", "1,two", "1.5", "", "-1"])
def test_what_is_no_load_is_refused(loads):
    with pytest.raises(UsageError, match="is no load"):
        parse_ladder(loads, None)


@pytest.mark.parametrize("loads", [(None, None), ("1", "2")])
def test_a_sweep_is_over_one_kind_of_load(loads):
    with pytest.raises(UsageError, match="one kind of load"):
        parse_ladder(*loads)

# SPDX-License-Identifier: Apache-2.0
"""What a choice with real servers decides before it starts one."""

from __future__ import annotations

from inferometer.analysis.choice import Workload
from inferometer.config import Experiment
from inferometer.plan.workloads import parse_workload
from inferometer.probes.choose import longest_of


def test_an_engine_is_started_for_the_longest_request_and_not_for_the_longest_mean():
    """Of `code` a prompt has 1,469 tokens in the middle, and now and then eight thousand."""
    steady = Workload("2000/32", "2000", "32", 0, "")
    code = parse_workload("code")
    swinging = Workload(code.name, code.input_tokens, code.output_tokens, 0, "")
    assert longest_of((steady, swinging), Experiment()) is swinging
    assert longest_of((steady, Workload("short", "128", "32", 0, "")), Experiment()) is steady

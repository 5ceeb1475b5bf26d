# SPDX-License-Identifier: Apache-2.0
"""Phases of `explain cost` from counts and times made by hand."""

from __future__ import annotations

from inferometer.host.description import describe
from inferometer.model.formats import WEIGHT_FORMATS
from inferometer.model.roofline import Served
from inferometer.probes.explain import cost_phases as phases
from inferometer.stats import Estimate


def known(value, half=0.0, unit="s"):
    return Estimate(value, value - half, value + half, 0.95, 20, unit, "")


def served(name="Llama-3.1-8B", degree=1):
    its = describe(name).architecture
    return Served(its, its.parameters, WEIGHT_FORMATS["bf16"], "bf16", degree)


UNCOUNTED = phases.Counted(None, None, None, known(0.01), known(0.1))


def test_tokens_that_are_not_counted_make_no_work_and_no_batch():
    found = phases.decoding(served(), "decode together", 8, UNCOUNTED)
    assert (found.flops, found.read_bytes, found.batch, found.context) == (0.0, 0.0, None, None)
    assert phases.useful_flops(served(), UNCOUNTED) is None
    assert "does not count" in phases.prefill(served(), known(0.1), (None, None), "").time.missing

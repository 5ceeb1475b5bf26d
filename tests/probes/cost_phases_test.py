# SPDX-License-Identifier: Apache-2.0
"""Phases of `explain cost` from counts and times made by hand."""

from __future__ import annotations

import pytest

from inferometer.host.description import describe
from inferometer.model.formats import WEIGHT_FORMATS
from inferometer.model.roofline import Served
from inferometer.probes.explain import cost_phases as phases
from inferometer.stats import Estimate, Missing


def known(value, half=0.0, unit="s"):
    return Estimate(value, value - half, value + half, 0.95, 20, unit, "")


def served(name="Llama-3.1-8B", degree=1):
    its = describe(name).architecture
    return Served(its, its.parameters, WEIGHT_FORMATS["bf16"], "bf16", degree)


UNCOUNTED = phases.Counted(None, None, None, None, known(0.01), known(0.1))


def test_tokens_that_are_not_counted_make_no_work_and_no_batch():
    found = phases.decoding(served(), "decode together", 8, UNCOUNTED, known(1e-4))
    assert (found.flops, found.read_bytes, found.batch, found.context) == (0.0, 0.0, None, None)
    assert phases.useful_flops(served(), UNCOUNTED) is None
    assert "does not count" in phases.prefill(served(), known(0.1), (None, None), "").time.missing


def test_a_step_of_many_is_held_against_its_own_time():
    """Llama-3.1-8B, 8 in flight, 128 + 48 tokens: 21 tokens of prompts in a step, 22.4 us each, of 7.4 ms."""
    run = phases.Counted(128.0, 128.0, 48.0, 21.0, known(7.4e-3), known(10e-3))
    found = phases.decoding(served(), "decode together", 8, run, known(22.4e-6))
    assert found.time.value == pytest.approx(7.4e-3 - 21 * 22.4e-6)
    assert (found.step.value, found.prompt_tokens) == (7.4e-3, 21.0)
    assert found.batch == pytest.approx(8 * 47 * 7.4 / (10 + 47 * 7.4))
    assert found.flops == pytest.approx(found.batch * (15.01e9 + 4 * 32 * 32 * 128 * 152), rel=1e-3)
    assert found.read_bytes == pytest.approx(15.01e9 + found.batch * 152 * 131072, rel=1e-3)


def test_a_stream_alone_has_all_of_its_step():
    run = phases.Counted(128.0, 128.0, 48.0, 0.0, known(7.4e-3), known(10e-3))
    found = phases.decoding(served(), "decode alone", 1, run, Missing("too noisy", 0, "s/token"))
    assert (found.time.value, found.step, found.batch) == (7.4e-3, None, 1.0)


def test_four_devices_do_a_fourth_each():
    """Llama-3.1-8B over 4: per device a fourth of the FLOPs, of the weights and of 8 heads of keys and values."""
    run = phases.Counted(128.0, 128.0, 48.0, 21.0, known(7.4e-3), known(10e-3))
    one, four = (phases.decoding(served(degree=n), "decode together", 8, run, known(22.4e-6)) for n in (1, 4))
    assert four.flops == pytest.approx(one.flops / 4)
    assert four.read_bytes == pytest.approx(one.read_bytes / 4)
    assert phases.useful_flops(served(degree=4), run) == pytest.approx(phases.useful_flops(served(), run) / 4)
    alone, shared = (phases.prefill(served(degree=n), known(0.02), (32.0, 1024.0), "") for n in (1, 4))
    assert shared.flops == pytest.approx(alone.flops / 4)


@pytest.mark.parametrize(
    ("told", "settings", "n_cards", "n"),
    [
        (None, {"tensor_parallel": 4}, 8, 4),
        (None, {}, 1, 1),
        (None, {"tensor_parallel": 2}, 0, 1),  # on a CPU: all its cores together are one device
        (2, {}, 8, 2),
        (4, {}, 0, 4),  # elsewhere: as one says
        (None, {}, 8, None),
    ],
)
def test_how_many_devices_share_the_model(told, settings, n_cards, n):
    assert phases.n_devices_of(told, settings, n_cards) == n

# SPDX-License-Identifier: Apache-2.0
"""A machine that becomes slower, on spans whose law is exact, with noise and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inferometer.analysis import slowdown
from inferometer.analysis.iteration_model import Fitted, Load, fit_model
from inferometer.metrics.company import Spans
from inferometer.stats import Missing
from inferometer.units import NS_PER_S


def load(name="8 in flight", *, seconds=40, factor=1.0, from_s=20, noise=0.03, seed=0):
    """A span of 8 tokens every 50 ms, of 10 ms a token, longer by a factor from an instant on."""
    rng = np.random.default_rng(seed)
    n = seconds * 20
    ends_s = (np.arange(n) + 1) * 0.05
    lasts_s = 0.08 * np.where(ends_s > from_s, factor, 1.0) * np.exp(rng.normal(0, noise, n))
    ends_ns = np.round(ends_s * NS_PER_S).astype(np.int64)
    eights = np.full(n, 8.0)
    starts_ns = ends_ns - np.round(lasts_s * NS_PER_S).astype(np.int64)
    ones, zeros = np.ones(n), np.zeros(n)
    found = Spans(np.arange(n), starts_ns, ends_ns, eights, ones, *([zeros] * 5))
    return Load(name, found, name, found.of(slice(0)))


@pytest.fixture(scope="module")
def model():
    found = fit_model([load(factor=1.0)])
    assert isinstance(found, Fitted)
    return found


def test_a_step_is_found_with_its_instant(model):
    found = slowdown.within(load(factor=1.6, from_s=25), model, 100.0)
    assert found.is_told
    assert found.factor.value == pytest.approx(1.6, rel=0.03)
    assert found.factor.lo <= 1.6 <= found.factor.hi
    assert found.at_s == pytest.approx(125.0, abs=1.0)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_step(model, seed):
    assert not slowdown.within(load(seed=seed, noise=0.2), model, 0.0).is_told


def test_a_step_within_what_idle_machines_do_is_none(model):
    assert not slowdown.within(load(factor=1.2), model, 0.0).is_told


def test_too_short_a_run_tells_nothing(model):
    found = slowdown.within(load(seconds=6), model, 0.0)
    assert isinstance(found, Missing)
    assert found.reason == "needs 8 slices of 1 s, has 7"


def paused(every, pause_s, *, seed=1):
    """One whose spans are as before but for each so many-th, which is longer by a pause."""
    one = load(seconds=20, seed=seed)
    longer = np.where(np.arange(len(one.spans.rows)) % every == 0, round(pause_s * NS_PER_S), 0)
    return replace(one, spans=replace(one.spans, t_start_ns=one.spans.t_start_ns - longer))


def test_one_that_is_stopped_for_some_ms_every_few_ms_is_slower(model):
    found = slowdown.again(load("alone"), paused(every=3, pause_s=0.16), model)
    assert found.is_told
    assert found.factor.value == pytest.approx(1 + 0.16 / 3 / 0.08, rel=0.05)


def test_a_stall_is_no_slower_machine(model):
    assert not slowdown.again(load("alone"), paused(every=20, pause_s=2.0), model).is_told


def test_the_same_load_again_is_slower(model):
    found = slowdown.again(load("alone"), load("alone, again", factor=1.5, from_s=0), model)
    assert found.is_told
    assert found.at_s is None
    assert found.factor.value == pytest.approx(1.5, rel=0.03)

# SPDX-License-Identifier: Apache-2.0
"""The service law: its arithmetic, its noise, and how it is written."""

from __future__ import annotations

import random
import statistics

import pytest

from inferometer.emulate.law import ServiceLaw, read_law
from inferometer.errors import UsageError


def test_the_terms_add_up():
    law = ServiceLaw(a=5.0, b=0.1, c=0.25, d=0.001)
    rng = random.Random(0)
    assert law.iteration_ns(0, 0, 0, rng) == 5_000_000
    assert law.iteration_ns(30, 0, 0, rng) == 8_000_000
    assert law.iteration_ns(30, 4, 2000, rng) == 11_000_000


def test_without_noise_nothing_is_drawn():
    rng = random.Random(7)
    ServiceLaw().iteration_ns(1, 2, 3, rng)
    assert rng.random() == random.Random(7).random()


def test_noise_leaves_the_mean_as_it_is_and_has_the_spread_it_says():
    law, rng = ServiceLaw(a=10.0, noise=0.2), random.Random(1)
    times_ms = [law.iteration_ns(0, 0, 0, rng) / 1e6 for _ in range(20_000)]
    assert statistics.fmean(times_ms) == pytest.approx(10.0, rel=0.01)
    assert statistics.stdev(times_ms) / 10.0 == pytest.approx((2.718281828 ** (0.2**2) - 1) ** 0.5, rel=0.03)


def test_the_same_seed_gives_the_same_noise():
    law = ServiceLaw(noise=0.3)
    draws = [[law.iteration_ns(1, 1, 1, rng) for _ in range(5)] for rng in (random.Random(3), random.Random(3))]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) == 5


def test_it_is_written_in_milliseconds_with_defaults_for_the_rest():
    assert read_law("") == ServiceLaw()
    assert read_law("a=8, b=0.05,noise=0.1") == ServiceLaw(a=8.0, b=0.05, noise=0.1)


@pytest.mark.parametrize("text", ["a", "a=x", "z=1", "a=0", "b=-1", "noise=9", "a=nan"])
def test_what_is_no_law_is_refused_with_an_example(text):
    with pytest.raises(UsageError) as caught:
        read_law(text)
    assert "--service-law a=8" in caught.value.remedy
    assert "\n" not in str(caught.value)

# SPDX-License-Identifier: Apache-2.0
"""Reference values, and series with a known dependence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[1] / "reference" / "stats_reference.json"


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """tests/reference/stats_reference.json."""
    return dict(json.loads(REFERENCE.read_text()))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)


@pytest.fixture
def ar1() -> Callable[[np.random.Generator, float, int, int], np.ndarray]:
    """`ar1(rng, phi, n, n_series)`: normal AR(1) series, variance 1, autocorrelation time (1+phi)/(1-phi)."""

    def make(rng: np.random.Generator, phi: float, n: int, n_series: int) -> np.ndarray:
        shocks = rng.normal(size=(n, n_series)) * np.sqrt(1 - phi**2)
        series = np.empty_like(shocks)
        series[0] = rng.normal(size=n_series)
        for i in range(1, n):
            series[i] = phi * series[i - 1] + shocks[i]
        return series.T

    return make

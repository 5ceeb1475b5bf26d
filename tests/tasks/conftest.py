# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from random import Random

import pytest


@pytest.fixture
def rng() -> Random:
    return Random(20)

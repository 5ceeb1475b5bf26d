# SPDX-License-Identifier: Apache-2.0
"""Lets the tests of this folder import `traces`, and hands out the reference values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """tests/reference/stats_reference.json."""
    path = Path(__file__).parents[1] / "reference" / "stats_reference.json"
    return dict(json.loads(path.read_text()))

# SPDX-License-Identifier: Apache-2.0
"""Golden files for every test: `golden(name, text)` compares with tests/golden/<name>; `pytest --update` rewrites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite tests/golden from what the code prints now")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Fails with a readable difference when `text` is not what the golden file holds."""
    is_update = request.config.getoption("--update")

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if is_update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        if not path.exists():
            pytest.fail(f"{path} is missing: run `pytest --update` and read what it wrote")
        assert text == path.read_bytes().decode("utf-8")

    return check

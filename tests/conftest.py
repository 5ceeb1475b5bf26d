# SPDX-License-Identifier: Apache-2.0
"""Golden text for every test: `golden(name, text)` compares with tests/golden/<name>, `page_block(path, marker, text)`
with the part of a page that is made from the code. `pytest --update` rewrites both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parents[1] / "docs"

Golden = Callable[[str, str], None]
PageBlock = Callable[[str, str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden text from what the code says now")


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


@pytest.fixture
def page_block(request: pytest.FixtureRequest) -> PageBlock:
    """Fails when the text between `<!-- marker -->` and `<!-- /marker -->` of a page under docs/ is not `text`."""
    is_update = request.config.getoption("--update")

    def check(path: str, marker: str, text: str) -> None:
        page = DOCS / path
        begin, end = f"<!-- {marker} -->\n", f"<!-- /{marker} -->\n"
        before, _, rest = page.read_text(encoding="utf-8").partition(begin)
        found, _, after = rest.partition(end)
        assert rest, f"{path} has no {begin!r}"
        if is_update:
            page.write_text(before + begin + text + end + after, encoding="utf-8")
        else:
            assert found == text

    return check

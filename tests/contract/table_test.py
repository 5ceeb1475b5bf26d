# SPDX-License-Identifier: Apache-2.0
"""The page of evidence has the table that the last written runs of the contract found, whole."""

from __future__ import annotations

import pytest
from tests.contract import table
from tests.contract.engines import CONTRACTS


def test_the_page_shows_what_was_found(page_block):
    page_block(table.PAGE, table.MARKER, table.rendered())


def test_a_run_of_a_part_of_the_contract_is_not_kept():
    before = table.KEPT.read_bytes()
    with pytest.raises(ValueError, match=r"not written: vllm, .*stop"):
        table.keep("vllm", dict.fromkeys(set(table.ROWS) - {"stop"}, "x"))
    assert table.KEPT.read_bytes() == before


def test_every_engine_of_the_contract_has_its_column():
    assert len(table.rendered().splitlines()[0].split("|")) == len(CONTRACTS) + 3

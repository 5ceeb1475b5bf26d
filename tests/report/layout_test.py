# SPDX-License-Identifier: Apache-2.0
"""Layout: nothing that others wrote reaches the terminal's control, and columns stand where they should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.report.layout import columns, cut, cut_middle, filled, painted, printable, wrapped


@given(st.text())
def test_printable_text_is_printable_and_harmless_text_stays_as_it_is(text):
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


def test_control_characters_are_written_out():
    assert printable("a\x1b[2J\nb\u202e") == "a\\x1b[2J\\nb\\u202e"


@given(st.text(), st.integers(0, 40))
def test_cut_text_is_never_wider_than_asked(text, width):
    assert len(cut(text, width)) <= width
    assert len(cut_middle(text, width)) <= width


@pytest.mark.parametrize(("function", "text"), [(cut, "meta-llama/Llama-3..."), (cut_middle, "meta-llam...-Instruct")])
def test_cutting(function, text):
    assert function("meta-llama/Llama-3.1-70B-Instruct", 21) == text
    assert function("short", 21) == "short"


def test_parts_are_broken_between_if_that_is_possible():
    lines = filled("rates", ["12.3 [12.1, 12.5] requests/s", "784 [776, 792] tokens/s"], width=42, indent=8)
    assert lines == ["rates   12.3 [12.1, 12.5] requests/s;", "        784 [776, 792] tokens/s"]
    assert filled("x", ["one two three"], width=30, indent=2) == ["x one two three"]
    assert filled("x", ["a" * 30], width=22, indent=2) == ["x " + "a" * 20, "  " + "a" * 10]


def test_wrapped_text_hangs_under_its_first_line():
    assert wrapped("note", "one two three four five", width=26, indent=6) == ["note  one two three four", "      five"]
    assert wrapped("note", "", width=26, indent=6) == ["note"]


def test_columns_are_aligned():
    assert columns([["a", "1"], ["bcd", "22"]], "<>", indent=2) == ["  a     1", "  bcd  22"]
    assert columns([], "<>") == []


def test_paint_only_if_asked():
    assert painted("VALID", "valid", is_colour=False) == "VALID"
    assert painted("VALID", "valid", is_colour=True) == "\x1b[32mVALID\x1b[0m"

# SPDX-License-Identifier: Apache-2.0
"""Units: durations as people write them, numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import UsageError
from inferometer.units import (
    format_bytes,
    format_duration,
    format_number,
    format_span,
    parse_bytes,
    parse_duration_s,
    parse_percent,
    parse_price_per_hour,
    parse_prices,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("60", 60),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("2m", 120),
        ("2min", 120),
        ("250us", 0.00025),
        ("7ns", 7e-9),
        (" 3 s ", 3),
        ("0s", 0),
    ],
)
def test_durations_are_read_as_written(text, seconds):
    assert parse_duration_s(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize("text", ["", "s", "-3s", "1e3s", "3 parsecs", "3s4", "1,5s", ".5s", "٣s", "nan", "inf"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="is not a duration") as caught:
        parse_duration_s(text)
    assert "500ms" in caught.value.remedy


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.182, "182 ms"),
        (2.1, "2.10 s"),
        (31e-6, "31.0 us"),
        (0, "0.00 ms"),
        (123.4, "123 s"),
        (99.96, "100 s"),
        (-0.0021, "-2.10 ms"),
        (3e-9, "0.003 us"),
        (0.9996, "1.00 s"),
        (0.00099996, "1.00 ms"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_durations_are_printed_with_three_digits_and_the_fitting_unit(seconds, text):
    assert format_duration(seconds) == text


@given(st.floats(1e-6, 1e5))
def test_a_printed_duration_reads_back_to_three_digits(seconds):
    text = format_duration(seconds).replace(",", "")
    assert parse_duration_s(text) == pytest.approx(seconds, rel=0.0051)
    assert len(text.split()[0].replace(".", "").lstrip("0")) >= 3 or seconds < 1e-5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.5, "2.5 s"),
        (45, "45 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (195, "3 min 15 s"),
        (7199, "119 min 59 s"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
    ],
)
def test_spans_are_said_as_a_person_says_them(seconds, text):
    assert format_span(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1_234_567, "1.23 MB"), (999_999, "1.00 MB"), (45e3, "45.0 kB"), (5e12, "5,000 GB")],
)
def test_sizes_are_decimal(n_bytes, text):
    assert format_bytes(n_bytes) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234, "1,234"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.04561, "0.0456"),
        (0, "0.00"),
        (99.96, "100"),
        (9.996, "10.0"),
        (0.9996, "1.00"),
        (-1234, "-1,234"),
        (math.nan, "-"),
        (-math.inf, "-"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("2.5 %", 0.025), ("0.05", 0.05)])
def test_shares(text, share):
    assert parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "0", "0%", "100%", "-5%", "five", "", "٥%"])
def test_what_is_no_share(text):
    with pytest.raises(UsageError, match="not a share"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("24GB", 24 * 10**9), ("80 GiB", 80 * 2**30), ("1.5kib", 1536), ("512MB", 512 * 10**6), ("7", 7), ("7 B", 7)],
)
def test_sizes_are_read_as_written(text, n_bytes):
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "GB", "24 giga", "-1GB", "24G", "1e9", "5ib"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="is not a size"):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "dollars"), [("2.5/h", 2.5), ("2", 2.0), ("$1.30 / h", 1.3), ("0/h", 0.0)])
def test_a_price_per_hour(text, dollars):
    assert parse_price_per_hour(text) == dollars


def test_two_prices():
    assert parse_prices("0.15, 0.60") == (0.15, 0.6)
    for text in ("0.15", "a,b", "1,2,3", "-1,2"):
        with pytest.raises(UsageError):
            parse_prices(text)
    with pytest.raises(UsageError):
        parse_price_per_hour("2/day")

# SPDX-License-Identifier: Apache-2.0
"""The screens, documents and tables of a sweep and of a limit search."""

from __future__ import annotations

import csv
import io

import msgspec
import probe_results
import pytest

from inferometer.report import limit as limit_report
from inferometer.report import probe_markdown, probe_table
from inferometer.report import sweep as sweep_report


@pytest.mark.parametrize(
    ("name", "render", "found", "folder"),
    [
        ("sweep-100.txt", sweep_report.render, probe_results.sweep(), "runs/sweep"),
        ("sweep-rate-100.txt", sweep_report.render, probe_results.sweep_over_rates(), "runs/sweep"),
        ("limit-100.txt", limit_report.render, probe_results.limit(), "runs/limit"),
        ("limit-none-100.txt", limit_report.render, probe_results.no_limit(), "runs/limit"),
    ],
)
def test_screens(golden, name, render, found, folder):
    text = render(found, folder=folder, width=100)
    golden(name, text)
    assert text.isascii()
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith(("folder", "next")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sweep.md", probe_markdown.sweep(probe_results.sweep())),
        ("sweep-rate.md", probe_markdown.sweep(probe_results.sweep_over_rates())),
        ("limit.md", probe_markdown.limit(probe_results.limit())),
        ("limit-none.md", probe_markdown.limit(probe_results.no_limit())),
    ],
)
def test_markdown(golden, name, text):
    golden(name, text)


@pytest.mark.parametrize(
    ("i", "told"),
    [
        (1, ("plain", "SUSTAINED", "up to 2/s; the run at 3/s is invalid: late_sends.")),
        (0, ("plain", "NOT KNOWN", "the run at 2/s is invalid: late_sends.")),
    ],
)
def test_what_is_sustained_ends_at_an_invalid_run_and_says_so(i, told):
    sweep = probe_results.sweep_over_rates()
    sweep.points[i] = msgspec.structs.replace(sweep.points[i], verdict="invalid", reasons=["late_sends"])
    assert sweep_report.headline(sweep) == told


def test_a_row_for_each_point_exact_and_empty_where_nothing_is_known():
    first, second, third = csv.DictReader(io.StringIO(probe_table.sweep_csv(probe_results.sweep_over_rates())))
    assert float(first["request_throughput_per_s_lo"]) == pytest.approx(1.98)
    assert (second["ttft_s_p99"], second["ttft_s_p99_hi"]) == ("0.2", "")
    assert third["request_throughput_per_s"] == ""
    assert third["resource"] == "memory: the cache is full"


def test_a_row_for_each_look():
    rows = list(csv.DictReader(io.StringIO(probe_table.limit_csv(probe_results.limit()))))
    assert [row["load"] for row in rows] == ["4.0", "11.0", "12.0", "13.0", "13.0"]
    assert [(row["missed ttft<500ms"], row["reasons"]) for row in rows[3:]] == [("133", ""), ("648", "late_sends")]


def test_the_share_at_a_load_is_as_sure_as_its_requests_are_worth():
    """1,105 requests that are worth 22: Wilson's interval of 22."""
    found = probe_results.limit().attained(13.0)  # of the look that the client did not spoil
    assert found.value == pytest.approx(972 / 1105)
    assert (found.lo, found.hi) == (pytest.approx(0.6856, abs=1e-3), pytest.approx(0.9608, abs=1e-3))


def test_the_curve_goes_through_the_limit():
    found = probe_results.limit()
    loads, shares = found.curve
    assert float(shares[abs(loads - 12.3).argmin()]) == pytest.approx(found.attainment, abs=0.002)
    assert (shares[1:] < shares[:-1]).all()

# SPDX-License-Identifier: Apache-2.0
"""The table of every number: exact, in base units, nothing made up."""

from __future__ import annotations

import csv
import io

from inferometer.metrics import METRICS
from inferometer.metrics.summary import summarize
from inferometer.records import Trace, empty_requests
from inferometer.report.table import COLUMNS, to_csv


def rows(summary) -> list[dict[str, str]]:
    text = to_csv(summary)
    assert text.splitlines()[0] == ",".join(COLUMNS)
    return list(csv.DictReader(io.StringIO(text)))


def test_every_statistic_has_its_row(suspect):
    found = [(row["name"], row["statistic"]) for row in rows(suspect) if row["group"] == "metric"]
    assert found == [(name, statistic) for name in METRICS for statistic in suspect.metrics[name]]


def test_numbers_are_exact_and_open_ends_empty(suspect):
    (row,) = (r for r in rows(suspect) if (r["name"], r["statistic"]) == ("ttft_s", "p99_with_failures"))
    assert (row["value"], row["lo"], row["hi"]) == ("", "0.0298", "")
    assert row["missing"] == "lies among the failed requests"
    (row,) = (r for r in rows(suspect) if (r["name"], r["statistic"]) == ("tpot_s", "p50"))
    assert (row["value"], row["n"], row["unit"], row["verdict"]) == ("0.00599", "491", "s/token", "valid")


def test_what_is_missing_says_why(make_summary):
    (row,) = (r for r in rows(make_summary(metrics={})) if (r["name"], r["statistic"]) == ("ttft_s", "p50"))
    assert (row["value"], row["missing"]) == ("", "was not looked at")


def test_limits_and_the_verdict_are_in_it(suspect):
    found = {(row["group"], row["name"]): row for row in rows(suspect)}
    assert found["run", "verdict"]["verdict"] == "suspect"
    assert found["limit", "ttft<25ms"]["value"] == "0.87"
    assert found["limit", "e2e_p95<420ms"]["verdict"] == "pass"
    assert found["count", "failed"]["value"] == "3"


def test_runs_of_nothing_have_a_table():
    assert rows(summarize(Trace(empty_requests(0))))[0]["verdict"] == "invalid"

# SPDX-License-Identifier: Apache-2.0
"""JSON: the shape that is documented, always valid, and documented to the last name."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from inferometer.metrics import METRICS
from inferometer.metrics.summary import summarize
from inferometer.records import Trace, empty_requests
from inferometer.report.json import estimate, to_dict, to_json
from inferometer.stats import Estimate, Missing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page():
    return (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")


INF = math.inf


def strict(document: bytes):
    """Refuses NaN and Infinity, which Python would read although JSON has no such words."""

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    return json.loads(document, parse_constant=refuse)


def test_the_shape(suspect):
    document = strict(to_json(suspect))
    assert list(document)[:4] == ["schema", "verdict", "counts", "metrics"]
    assert document["schema"] == "inferometer/report/1"
    assert document["verdict"]["level"] == "suspect"
    assert document["verdict"]["reasons"][0]["code"] == "late_sends"
    assert document["verdict"]["reasons"][0]["metrics"] == ["ttft_s"]
    assert set(document["metrics"]) == set(METRICS)
    assert set(document["metrics"]["ttft_s"]["p50"]) == {"value", "lo", "hi", "level", "n", "unit", "method"}
    assert document["metric_verdicts"]["ttft_s"] == {"level": "suspect", "reasons": ["late_sends"]}
    assert document["limits"]["per_request"][0]["limit"] == "ttft<25ms"
    assert document["limits"]["per_request"][0]["threshold"] == 0.025
    assert document["limits"]["per_run"][0]["result"] == "undecided"
    assert document["limits"]["per_run"][1]["is_met"] is True
    assert document["in_flight"] == [{"trial": 0, "t_s": [0.5, 1.5], "n": [3.9, 4.0]}]


def test_numbers_are_not_rounded(suspect):
    assert to_dict(suspect)["metrics"]["ttft_s"]["p50"]["value"] == 0.0194


def test_golden(golden, suspect):
    golden("report-suspect.json", to_json(suspect).decode())


def test_what_is_missing_has_a_reason_and_no_number():
    assert estimate(Missing("needs 100 requests, has 57", 57, "s")) == {
        "value": None,
        "missing": "needs 100 requests, has 57",
        "n": 57,
        "unit": "s",
    }


def test_bounds_that_are_not_there_are_null():
    fields = estimate(Estimate(0.5, 0.4, INF, 0.95, 100, "s", "by hand"))
    assert (fields["lo"], fields["hi"]) == (0.4, None)
    assert "missing" not in fields


def test_a_percentile_among_the_failures_is_null_and_says_so():
    fields = estimate(Estimate(INF, 0.4, INF, 0.95, 100, "s", "by hand"))
    assert (fields["value"], fields["missing"]) == (None, "lies among the failed requests")


def test_whatever_stands_in_the_facts_the_document_is_json(make_summary):
    host = {
        "nan": math.nan,
        "inf": [INF, 1.5],
        "numpy": np.int64(3),
        "array": np.array([1.0, math.nan]),
        "nested": {7: (True, None, "\x00\u2028\U0001f600")},
    }
    document = strict(to_json(make_summary(host=host)))
    assert document["host"] == {
        "nan": None,
        "inf": [None, 1.5],
        "numpy": 3,
        "array": [1.0, None],
        "nested": {"7": [True, None, "\x00\u2028\U0001f600"]},
    }


@pytest.fixture(params=[0, 3], ids=["no requests", "requests that never left"])
def real(request):
    """What the metrics return of runs in which nothing happened."""
    return summarize(Trace(empty_requests(request.param)))


def test_what_the_metrics_really_return_is_json(real):
    assert strict(to_json(real))["verdict"]["level"] == "invalid"


def test_every_key_metric_statistic_and_number_is_documented(real, suspect, page):
    document = to_dict(suspect)
    names = set(document) | set(METRICS) | set(real.fidelity) | set(real.counts)
    names |= {statistic for statistics in real.metrics.values() for statistic in statistics}
    for part in (document["limits"]["per_request"][0], document["limits"]["per_run"][0], document["limits"]):
        names |= set(part)
    names |= set(document["verdict"]["reasons"][0]) | set(document["windows"][0]) | set(document["in_flight"][0])
    missing = sorted(name for name in names if f"`{name}`" not in page)
    assert missing == []


def test_the_table_of_metrics_is_that_of_the_registry(page_block):
    rows = [f"| `{m.name}` | `{m.unit}` | {m.per} | {m.doc.replace('|', chr(92) + '|')} |\n" for m in METRICS.values()]
    page_block("reference/json.md", "metrics", "| name | unit | per | meaning |\n|---|---|---|---|\n" + "".join(rows))


def test_every_reason_is_documented(page):
    sources = sorted((ROOT / "src" / "inferometer" / "metrics").glob("reasons_*.py"))
    codes = {code for path in sources for code in re.findall(r'Reason\(\s*"(\w+)"', path.read_text(encoding="utf-8"))}
    assert len(codes) > 10
    assert sorted(code for code in codes if f"`{code}`" not in page) == []


def test_units_are_documented(real, page):
    units = {metric.unit for metric in METRICS.values()} | {number.unit for number in real.fidelity.values()}
    assert sorted(unit for unit in units if f"`{unit}`" not in page) == []

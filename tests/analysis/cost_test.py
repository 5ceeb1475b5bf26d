# SPDX-License-Identifier: Apache-2.0
"""Shares of ceilings and prices, with numbers worked out by hand."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.analysis.cost import Ceiling, Phase, batch_of, load_within, price, share_of, sheet, with_shares
from inferometer.analysis.cost_findings import (
    ALONE,
    MEASURED,
    PREFILL,
    SHEET,
    TOGETHER,
    findings_of,
    row_of,
)
from inferometer.analysis.limit import LimitSearch, LoadRow
from inferometer.analysis.number import number_of
from inferometer.stats import Estimate, Missing


def known(value, half=0.0, unit="s"):
    return Estimate(value, value - half, value + half, 0.95, 20, unit, "")


def ceiling(kind=MEASURED, flops=100e9, bandwidth=10e9, near=None):
    return Ceiling(
        kind,
        "2 cores",
        "fp32",
        number_of(known(flops, 0.01 * flops, "FLOP/s")),
        number_of(known(bandwidth, 0.02 * bandwidth, "B/s")),
        None if near is None else number_of(known(near, 0.02 * near, "B/s")),
    )


def phase(name=ALONE, time=0.010, flops=100e6, read=20e6, batch=1.0):
    return Phase(name, number_of(known(time, 0.01 * time, "s/token")), flops, read, batch, 100.0, 1)


def test_shares_are_work_over_time_and_ceiling():
    found = with_shares(phase(), [ceiling()])
    assert found.mfu[MEASURED].value == pytest.approx(0.1)
    assert found.mbu[MEASURED].value == pytest.approx(0.2)
    assert found.mbu[MEASURED].lo == pytest.approx(0.2 / (1 + 0.0224), rel=1e-3), "1 % and 2 % in quadrature"


def test_a_model_that_lies_in_a_cache_is_held_against_the_cache():
    assert with_shares(phase(), [ceiling(near=40e9)]).mbu[MEASURED].value == pytest.approx(0.05)


def test_an_estimate_of_a_published_measurement():
    """TensorRT-LLM, Llama-3.1-8B in bf16 on an H100: a = 6.59 ms is 68 % of the bandwidth; b = 22.4 us, of the peak."""
    h100 = Ceiling(SHEET, "H100", "bf16", sheet(989e12, "FLOP/s", "H100"), sheet(3350e9, "B/s", "H100"))
    decode = with_shares(phase(time=6.59e-3, flops=15.01e9, read=15.01e9), [h100])
    assert decode.mbu[SHEET].value == pytest.approx(0.68, abs=0.005)
    prefill = with_shares(phase(PREFILL, 22.4e-6, 15.01e9, 0.0), [h100])
    assert prefill.mfu[SHEET].value == pytest.approx(0.68, abs=0.005)
    assert prefill.mbu == {}, "what a prompt reads is shared by its tokens"


def test_who_waits_or_has_a_prompt_computed_is_not_decoding():
    assert batch_of(16, 11, 0.010, 0.100) == pytest.approx(8.0)
    assert batch_of(16, 101, 0.010, 0.0) == 16


PRICED = {"input_tokens": 100.0, "output_tokens": 50.0, "input_share": known(0.25, unit="ratio")}


def test_a_price_carries_the_interval_of_the_load():
    found = price(3.6, known(2.0, 0.2, "1/s"), "at the limit", **PRICED, api=[])
    assert found.per_1000.value == pytest.approx(0.5)
    assert (found.per_1000.lo, found.per_1000.hi) == (pytest.approx(0.5 / 1.1), pytest.approx(0.5 / 0.9))
    assert found.per_million.value == pytest.approx(0.0005 / 150 * 1e6)


def test_prices_of_input_and_output_add_up_to_the_whole():
    found = price(3.6, known(2.0, 0.2, "1/s"), "", **PRICED, api=[])
    assert found.input_share.value == pytest.approx(0.25)
    whole = found.per_million_input.value * 100 + found.per_million_output.value * 50
    assert whole / 1e6 == pytest.approx(found.per_1000.value / 1000)


def test_the_check_of_the_handbook():
    """$2 an hour at 1,000 tokens a second are $0.5556 per million; $1.41 at 2,500 are $0.1567."""
    for dollars, tokens_per_s, told in ((2.0, 1000, 0.5556), (1.41, 2500, 0.1567)):
        found = price(dollars, known(tokens_per_s / 150, unit="1/s"), "", **PRICED, api=[])
        assert found.per_million.value == pytest.approx(told, abs=5e-5)


def test_against_an_api():
    found = price(3.6, known(2.0, 0.2, "1/s"), "", **PRICED, api=[2.0, 6.0])
    assert found.api_per_1000 == pytest.approx(0.5)
    assert found.against_api.value == pytest.approx(1.0)
    assert findings_of([], [], found) == []
    dear = price(36.0, known(2.0, 0.2, "1/s"), "", **PRICED, api=[2.0, 6.0])
    assert [finding.code for finding in findings_of([], [], dear)] == ["dearer_than_api"]


def test_no_load_is_no_price():
    found = price(3.6, Missing("no load meets it", 0, "1/s"), "", **PRICED, api=[2.0, 6.0])
    assert found.per_1000.missing == "no load meets it"


def test_without_counts_there_is_no_price_of_tokens():
    """$2 an hour at one request a second: $0.556 per 1,000 requests, which are no million tokens."""
    uncounted = {"input_tokens": None, "output_tokens": None, "input_share": known(0.25, unit="ratio")}
    found = price(2.0, known(1.0, unit="1/s"), "", **uncounted, api=[2.0, 6.0])
    assert found.per_1000.value == pytest.approx(0.5556, abs=5e-5)
    for number in (found.per_million, found.per_million_input, found.per_million_output, found.against_api):
        assert number.value is None
        assert "does not count tokens" in number.missing
    assert found.api_per_1000 is None
    assert findings_of([], [], found) == []


def test_a_share_above_one_is_an_error_not_a_success():
    ceilings = [ceiling()]
    fast = with_shares(phase(time=0.0005), ceilings)
    (found,) = findings_of(ceilings, [fast], None)
    assert found.code == "above_ceiling"
    assert findings_of(ceilings, [with_shares(phase(time=0.003), ceilings)], None) == []


def test_a_stream_that_is_bound_by_neither_is_bound_by_overhead():
    ceilings = [ceiling()]
    alone = with_shares(phase(time=0.05), ceilings)
    together = with_shares(phase(TOGETHER, 0.06, 800e6, 20e6, 8.0), ceilings)
    (found,) = findings_of(ceilings, [alone, together], None)
    assert found.code == "bound_by_overhead"
    assert "6.67 times" in found.remedy.expected
    assert row_of(ceilings, [alone, together], [], []).figure.value == pytest.approx(800e6 / 0.06 / 100e9)


def test_what_more_at_a_time_brings_is_of_steps_as_they_are_seen():
    """8 together take 80 ms a step where one takes 50: five times the tokens, whatever of it is others' prompts."""
    ceilings = [ceiling()]
    together = msgspec.structs.replace(
        phase(TOGETHER, 0.06, 800e6, 20e6, 8.0), step=number_of(known(0.08)), prompt_tokens=21.0
    )
    (found,) = findings_of(ceilings, [with_shares(each, ceilings) for each in (phase(time=0.05), together)], None)
    assert "5 times" in found.remedy.expected


def test_a_share_is_held_against_what_engines_have_of_the_same_ceiling():
    """68 % of the bandwidth (TensorRT-LLM), 59 % of the peak rate (vLLM)."""
    ceilings = [ceiling()]
    reads = row_of(ceilings, [with_shares(phase(TOGETHER, read=80e6), ceilings)], [], [])
    assert (reads.figure.value, reads.bound.value) == (pytest.approx(0.8), 0.68)
    computes = row_of(ceilings, [with_shares(phase(TOGETHER, flops=800e6), ceilings)], [], [])
    assert (computes.figure.value, computes.bound.value) == (pytest.approx(0.8), 0.59)


def test_where_many_together_cannot_be_told_the_row_is_of_one_alone():
    ceilings = [ceiling()]
    together = msgspec.structs.replace(phase(TOGETHER, batch=8.0), time=number_of(Missing("noise", 0, "s/token")))
    row = row_of(ceilings, [with_shares(each, ceilings) for each in (phase(), together)], [], [])
    assert "decoding 1 together" in row.headline


def test_without_work_there_is_no_share():
    assert share_of(0.0, known(1.0), known(1.0), what="FLOPs").value is None


def test_a_search_without_time_for_the_limit_prices_the_rate_that_it_saw_to_hold():
    """3.6 dollars an hour at 2 requests a second: 0.5 for 1,000 requests, or less."""
    none = number_of(Missing("needs long looks", 0, "1/s"))
    rows = [LoadRow(1.0, 1, 50, 1.0, "holds"), LoadRow(2.0, 2, 120, 0.98, "holds"), LoadRow(4.0, 1, 40, 0.1, "fails")]
    fields = dict.fromkeys(LimitSearch.__struct_fields__)
    found = LimitSearch(**fields | {"limit": none, "attainment": 0.9, "slo": "ttft<1s", "holds": 2.0, "loads": rows})
    load, words = load_within(found)
    assert (load.value, load.n) == (2.0, 120)
    assert "at most" in words
    assert price(3.6, load, words, **PRICED, api=[]).per_1000.value == pytest.approx(0.5)
    limit = msgspec.structs.replace(found, limit=number_of(known(3.0, 0.1, "1/s")))
    assert load_within(limit)[0].value == 3.0
    assert load_within(msgspec.structs.replace(found, holds=None))[0].reason == "needs long looks"

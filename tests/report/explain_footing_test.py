# SPDX-License-Identifier: Apache-2.0
"""The screens of `explain memory` and `explain cost` for a running engine, from examinations made by hand."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.analysis.cost import Ceiling, CostExamination, Phase, Used, price, with_shares
from inferometer.analysis.cost_findings import findings_of as cost_findings
from inferometer.analysis.cost_findings import row_of as cost_row
from inferometer.analysis.memory import Cache, Load, MemoryExamination, Round, Taken, Weights, error_of, gain_of
from inferometer.analysis.memory_findings import findings_of, no_load, row_of
from inferometer.analysis.number import number_of
from inferometer.report import explain_cost, explain_memory
from inferometer.stats import Estimate, Missing, exact


def told(value, half, unit, n=100):
    return number_of(Estimate(value, value - half, value + half, 0.95, n, unit, ""))


def counted(value, unit):
    return number_of(exact(value, n=200, unit=unit, method=""))


CACHE = Cache(
    n_tokens=2560,
    block_tokens=16,
    format="bf16",
    format_known_from="the model's own",
    bytes_per_token=6144,
    predicted_bytes=15_728_640.0,
    told_bytes=15_800_000.0,
    error=number_of(error_of(15_728_640.0, 15_800_000.0)),
    source="vllm:cache_config_info in /metrics",
)
LOAD = Load(
    concurrency=16,
    held_mean=told(1900.0, 90.0, "tokens"),
    held_most=counted(2550.0, "tokens"),
    tokens_per_request=told(509.0, 9.0, "tokens"),
    kv_used=counted(0.98, "ratio"),
    waiting=counted(11.0, "requests"),
    running=counted(5.0, "requests"),
    preemptions=counted(119.0, "preemptions"),
    per_request=counted(0.49, "1/request"),
    failed=told(0.0, 0.0, "ratio"),
)
TAKEN = Taken(4.2e7, 9.4e7, None, told(143e3, 39e3, "B/request"), 1.6e7, 8e5, 25e9)
ROUNDS = [Round(told(100.0, 5.0, "tokens/s"), told(100.0 * gain, 5.0, "tokens/s")) for gain in (3.0, 4.0, 5.0)]


def memory(load=LOAD, cache=CACHE, taken=TAKEN, rounds=ROUNDS):
    findings = findings_of(cache, load, taken)
    return MemoryExamination(
        model="a-model",
        described="a folder",
        not_described="",
        cache=cache,
        weights=Weights(9_000_000, None, None, None),
        rounds=rounds,
        gain=number_of(gain_of(rounds)),
        load=load,
        taken=taken,
        row=row_of(cache, load, findings, ["energy: nobody looked"]),
        seconds=100.0,
        created="2026-01-01T00:00:00+00:00",
        engine={"title": "vLLM", "version": "0.32.0"},
        context_tokens=2048,
    )


def test_memory_says_what_is_wrong_first_and_keeps_to_the_width():
    text = explain_memory.render(memory(), folder="out")
    lines = text.splitlines()
    assert lines[0] == "memory    the cache is as predicted, -0.45 %;"
    assert lines[1] == "          the cache for keys and values is too small for this load"
    assert "  cache for 2,560 tokens, in blocks of 16    15.7 MB          15.8 MB" in lines
    assert "put back  119 in 200 requests; 11 waiting at the most" in text
    assert "3.9 [2.1, 7.4] times the tokens per second with 16 in flight" in text
    assert "(cache_too_small)" in text
    assert "max_concurrency=5" in text
    assert max(map(len, lines)) <= 100


def test_memory_that_could_not_be_measured_says_so_and_no_more():
    found = memory(no_load(16), Cache(error=number_of(Missing("it does not say", 0, "ratio"))), Taken(), [])
    lines = explain_memory.render(found, folder="out").splitlines()
    assert not any(line.startswith(("held", "paging", "batching", "growth")) for line in lines)


def test_an_examination_comes_back_from_its_file():
    found = memory()
    assert msgspec.json.decode(msgspec.json.encode(found), type=MemoryExamination) == found
    found = cost()
    assert msgspec.json.decode(msgspec.json.encode(found), type=CostExamination) == found


def cost():
    ceilings = [
        Ceiling(
            "measured",
            "2 cores, numpy 2",
            "fp32",
            told(100e9, 1e9, "FLOP/s", 20),
            told(10e9, 2e8, "B/s", 20),
            told(30e9, 2e8, "B/s", 20),
            4_000_000,
        )
    ]
    phases = [
        Phase("prefill", told(1e-3, 1e-5, "s/token"), 15e6, 0.0, 1.0, 1024.0, 1),
        Phase("decode alone", told(2e-2, 1e-4, "s/token"), 5e6, 5e6, 1.0, 150.0, 1),
        Phase(
            "decode together",
            told(3e-2, 1e-3, "s/token"),
            40e6,
            11e6,
            7.5,
            150.0,
            8,
            told(4e-2, 1e-3, "s/token"),
            10.0,
        ),
    ]
    phases = [with_shares(phase, ceilings) for phase in phases]
    share = Estimate(0.25, 0.23, 0.27, 0.95, 9, "ratio", "")
    load = Estimate(2.0, 1.8, 2.2, 0.95, 9, "1/s", "")
    priced = price(3.6, load, "8 in flight", input_tokens=128, output_tokens=48, input_share=share, api=[0.1, 0.2])
    none = [number_of(Missing("no sensor", 0, unit)) for unit in ("J/token", "J/request", "W", "W")]
    return CostExamination(
        model="a-model",
        described="a file",
        not_described="",
        weights_format="as stored",
        weights_bytes=4_000_000.0,
        ceilings=ceilings,
        phases=phases,
        useful={"measured": told(0.2, 0.01, "ratio")},
        energy=Used(*none),
        priced=priced,
        row=cost_row(ceilings, phases, cost_findings(ceilings, phases, priced), ["energy: no sensor"]),
        seconds=100.0,
        created="2026-01-01T00:00:00+00:00",
        engine={"title": "vLLM", "version": "0.32.0"},
    )


def test_cost_has_phases_apart_the_price_and_what_would_help():
    text = explain_cost.render(cost(), folder="out")
    assert "$0.500 [0.455, 0.556] per 1,000 requests" in text.splitlines()[0] + text.splitlines()[1]
    assert "25.0 [" in text, "of the price is for prompts"
    assert "(bound_by_overhead)" in text
    assert "(dearer_than_api)" in text
    assert "energy" not in text.split("not told")[0]
    assert text.count("decode") >= 2
    assert "with others' prompts - - 40.0 [39.0, 41.0] ms" in " ".join(text.split())


def test_cost_over_several_devices_says_of_how_many_its_figures_are():
    sheet = msgspec.structs.replace(cost().ceilings[0], kind="data sheet", format="fp8", where="each of 4: H200")
    own = msgspec.structs.replace(cost().ceilings[0], format="bf16")
    found = msgspec.structs.replace(cost(), n_devices=4, ceilings=[sheet, own])
    text = " ".join(explain_cost.render(found, folder="out").split())
    assert "of weights (as stored) over 4 devices" in text
    assert "ceilings, FLOP and bytes are of one of 4 devices" in text
    assert "measured in bf16; these weights are multiplied faster, in fp8" in text


def test_cost_of_a_server_that_counts_no_tokens_has_a_price_of_requests_alone():
    load, none = Estimate(2.0, 1.8, 2.2, 0.95, 9, "1/s", ""), Missing("nobody counted", 0, "s")
    priced = price(3.6, load, "8 in flight", input_tokens=None, output_tokens=None, input_share=none, api=[0.1, 0.2])
    together = Phase("decode together", number_of(none), 0.0, 0.0, None, None, 8)
    found = msgspec.structs.replace(cost(), priced=priced, phases=[together])
    assert msgspec.json.decode(msgspec.json.encode(found), type=CostExamination) == found
    text = " ".join(explain_cost.render(found, folder="out").split())
    assert "$0.500 [0.455, 0.556] per 1,000 requests; no price of tokens: the server does not count tokens;" in text
    assert "not compared: the server does not count tokens" in text
    assert "per million" not in text


@pytest.mark.parametrize("width", [80, 100])
def test_screens_are_as_wide_as_was_asked(width):
    for text in (explain_memory.render(memory(), folder="out", width=width),):
        assert max(map(len, text.splitlines())) <= width

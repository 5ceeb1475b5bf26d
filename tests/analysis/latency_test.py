# SPDX-License-Identifier: Apache-2.0
"""`explain latency` from records to findings, on emulated engines in virtual time whose law is known to the digit."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from virtual import Engine, closed_loop, examine

from inferometer.analysis.finding import Trial
from inferometer.analysis.iteration_model import Fitted, Load, design_of, fit_model
from inferometer.analysis.latency_examined import ALONE, first, in_flight
from inferometer.analysis.latency_parts import BY_DIFFERENCE, BY_FIT, SERVER_CLOCK
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.law import ServiceLaw
from inferometer.metrics.company import Spans
from inferometer.stats import Missing

LAW = ServiceLaw(a=6.0, b=0.07, c=0.2, d=0.0004, noise=0.05)
LONGEST, N = 6_000, 6


@cache
def examined(*defects, slots=N, tells="queue and prefill", after_s=6.0, long_s=6.0, seed=1):
    setting = make_setting(
        "vllm", slots=slots, context=16_384, law=LAW, seed=seed, defects=defects, throttled_after_s=after_s
    )
    return examine(Engine(setting, tells=tells), N, longest=LONGEST, short_s=2.0, long_s=long_s, n_turns=2)


def part(split, name):
    return next(one for one in split.parts if one.name == name)


def test_the_law_is_found_and_holds_on_loads_left_out():
    model = examined().model
    for name, truth in zip("abcd", (6e-3, 7e-5, 2e-4, 4e-7), strict=True):
        assert getattr(model, name).value == pytest.approx(truth, rel=0.1), name
    assert model.held_out.value < 0.05
    assert [one.load for one in model.by_load if one.error.value is not None] == [
        "alone, short", "alone", "alone, long", "3 in flight", "12 in flight", "4 in flight, mixed", "6 in flight"
    ]  # fmt: skip
    explained = model.by_load[-1]
    assert explained.error.lo < explained.error.value < explained.error.hi
    assert abs(explained.error.value) < 0.05


def test_a_load_that_was_measured_again_is_one_load_and_predicted_by_the_others():
    setting = make_setting("vllm", slots=N, context=16_384, law=LAW, seed=3)
    found = examine(Engine(setting), N, longest=LONGEST, short_s=1.0, long_s=4.0, n_turns=3)
    assert len(found.loads) == 19
    assert [load.name for load in found.loads if first(load.name) == "alone"] == [
        "alone", "alone, again", "alone, again (2)"
    ]  # fmt: skip
    assert len(found.model.by_load) == found.model.held_out.n == 7
    assert found.model.held_out.value < 0.05
    assert found.slowdown is not None
    assert not found.slowdown.is_told


def test_the_law_without_noise_is_exact():
    engine = Engine(make_setting("vllm", law=ServiceLaw(a=5.0, b=0.03, c=0.1, d=0.0002)), late_us=1.0)
    loads = [
        Load.of(str(n), closed_loop(engine, n, window_s=2.0, n_inputs=lengths))
        for n, lengths in ((1, (32, 1000)), (4, (16, 2000)), (8, (64, 256)))
    ]
    fit = fit_model(loads)
    assert isinstance(fit, Fitted)
    assert fit.law == pytest.approx([5e-3, 3e-5, 1e-4, 2e-7, 0, 0, 0], rel=0.02)
    assert fit.told.e == fit.told.f == fit.told.g
    assert fit.told.e.missing == "the records do not show it"


def test_attention_within_long_prompts_and_doublings_of_the_batch_are_told_where_there_are_any():
    """Spans made from a law of all terms: what a processor does, and no emulated engine."""
    law = np.array([7e-4, 2.3e-4, 0.0, 1.1e-6, 2.3e-7, 1e-3, 2.7e-3])
    rng = np.random.default_rng(5)
    loads = []
    for n, length in ((1, 16.0), (1, 128.0), (1, 1_000.0), (2, 128.0), (4, 128.0), (4, 700.0), (8, 128.0)):
        m = 400
        tokens, came = (rng.integers(0, 2, m) * (n > 1) * each for each in (length, 1.0))
        rows, none, decoding = np.arange(m), np.zeros(m, np.int64), np.full(m, float(n))
        context, attended = decoding * (length + 24.0), tokens * length / 2
        each = (np.full(m, 8.0), decoding, context, tokens, attended, came, np.log2(decoding))
        one = Spans(rows, none, none, *each)
        seconds = design_of(one) @ law * np.exp(rng.normal(0, 0.02, m))
        ends = np.cumsum(np.full(m, 1_000_000_000))
        one = replace(one, t_start_ns=ends - np.round(1e9 * seconds).astype(np.int64), t_end_ns=ends)
        loads.append(Load(f"{n}/{length:g}", one, f"{n}/{length:g}", one.of(slice(0))))
    found = fit_model(loads)
    assert isinstance(found, Fitted)
    assert found.law[[0, 1, 3, 4, 5, 6]] == pytest.approx(law[[0, 1, 3, 4, 5, 6]], rel=0.1)
    assert found.told.held_out.value < 0.05


def test_few_stretches_tell_no_law():
    engine = Engine(make_setting("vllm", law=LAW))
    fit = fit_model([Load.of("1", closed_loop(engine, 1, window_s=1.0))])
    assert isinstance(fit, Missing)
    assert "needs 50 stretches" in fit.reason


def test_one_load_alone_knows_nothing_of_sequences_together():
    engine = Engine(make_setting("vllm", law=LAW), tells="nothing")
    fit = fit_model([Load.of("1", closed_loop(engine, 1, window_s=5.0))])
    assert isinstance(fit, Fitted)
    assert fit.told.c.missing == "never did two sequences decode together"
    assert fit.told.b.missing.startswith("no prompt of others")
    assert fit.told.held_out.value is None


TELLS = [
    "queue and prefill",
    pytest.param("prefill", marks=pytest.mark.slow),
    pytest.param("nothing", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("tells", TELLS)
def test_parts_add_up_to_what_was_measured(tells):
    for load in examined(tells=tells).loads:
        for split in (load.ttft, load.tpot):
            total = sum(one.figure.value for one in split.parts) + split.residual.value
            assert total == pytest.approx(split.measured.value, rel=1e-9)
            if split.n_requests >= 5:
                assert abs(split.residual.value) < 0.07 * split.measured.value


@pytest.mark.slow
def test_how_a_part_was_had_follows_what_the_server_tells():
    hows = {
        tells: [part(examined(tells=tells).load(in_flight(N)).ttft, name).how for name in ("queue", "prefill")]
        for tells in ("queue and prefill", "prefill", "nothing")
    }
    assert hows == {
        "queue and prefill": [SERVER_CLOCK, SERVER_CLOCK],
        "prefill": [BY_DIFFERENCE, SERVER_CLOCK],
        "nothing": [BY_DIFFERENCE, BY_FIT],
    }


def test_parts_are_those_of_the_law():
    found = examined()
    alone, busy = found.load(ALONE), found.load(in_flight(N))
    assert part(alone.ttft, "prefill").figure.value == pytest.approx(128 * 7e-5, rel=0.1)
    assert part(alone.tpot, "floor").figure.value == pytest.approx(6.2e-3, rel=0.03)
    assert part(alone.tpot, "batch").figure.value == pytest.approx(0.0, abs=1e-6)
    assert part(busy.tpot, "batch").figure.value == pytest.approx(0.2e-3 * (N - 1), rel=0.15)
    assert part(busy.tpot, "interference").figure.value > 0.1 * busy.tpot.measured.value


@pytest.mark.parametrize("tells", TELLS)
def test_a_healthy_engine_is_left_alone(tells):
    found = examined(tells=tells)
    assert found.row.findings == []
    assert found.resource == "decode"
    assert found.row.bound.value < found.row.figure.value


@pytest.mark.slow
def test_prompts_that_hold_up_others_are_found_and_named():
    found = examined("prefill-alone")
    (finding,) = found.row.findings
    assert (finding.code, finding.level) == ("prefill_stalls", "bad")
    assert "whole" in finding.cause
    assert found.stalls.cause == "prefill"
    assert found.held_up.share > 0.9
    assert finding.figure.lo > 0.2
    fields = {"input_tokens": f"uniform:16-{LONGEST}"}
    assert structs.replace(finding.trial, latency_s=0.0) == Trial("gap_max_s", "mean", 4, fields)


@pytest.mark.slow
@pytest.mark.parametrize("tells", ["queue and prefill", "prefill"])
def test_requests_that_the_server_does_not_hear_are_found(tells):
    found = examined("few-threads", tells=tells)
    (finding,) = found.row.findings
    assert finding.code == "unheard"
    assert "HTTP threads" in finding.cause
    assert found.resource == "threads"


@pytest.mark.slow
def test_a_queue_is_no_lack_of_threads():
    found = examined(slots=2)
    (finding,) = found.row.findings
    assert finding.code == "slots"
    assert found.resource == "slots"
    assert finding.trial.latency_s == found.row.figure.value
    assert "2 at a time" in finding.cause
    assert structs.replace(finding.trial, latency_s=0.0) == Trial("ttft_s", "p50", N), (
        "more at a time may make tokens slower, and is to be no fault"
    )


@pytest.mark.slow
def test_a_machine_that_becomes_slower_is_found_with_its_instant():
    # Three runs alone of 2 s and two together of 4 s, each after 1 s of warm-up, and 10 s of the load that lasts.
    found = examined("throttles", after_s=30.0, long_s=20.0)
    codes = [finding.code for finding in found.row.findings]
    assert codes == ["throttled"]
    assert found.slowdown.at_s == pytest.approx(30.0, abs=2.0)
    assert 1.5 <= found.slowdown.factor.value <= 2.5
    assert found.resource == "throttling"
    assert found.model.a.value == pytest.approx(6e-3, rel=0.1), "the law is that of the time before"

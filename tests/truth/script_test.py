# SPDX-License-Identifier: Apache-2.0
"""Scripts are arithmetic: what is due when, and what it says."""

from __future__ import annotations

import json
import statistics
from itertools import pairwise

import msgspec
import pytest

from inferometer.kinds import TOKEN_BEARING, ChunkKind
from inferometer.truth.faults import script
from inferometer.truth.script import (
    END,
    HEAD,
    PRESETS,
    Ask,
    Ending,
    Prescription,
    Script,
    Step,
    chunk_offsets_ns,
    chunk_tokens,
    event_steps,
)
from inferometer.units import NS_PER_MS


def offsets_ms(steps, *kinds):
    return [step.offset_ns / NS_PER_MS for step in steps if step.kind in kinds]


def payload(step):
    return json.loads(step.data.partition(b"data: ")[2])


def test_awkward_stream_has_the_published_instants():
    steps = script(PRESETS["awkward"], Ask()).steps
    content_ms = offsets_ms(steps, ChunkKind.CONTENT)
    n_tokens = sum(step.n_tokens for step in steps)
    assert offsets_ms(steps, HEAD, ChunkKind.ROLE) == [0, 0]
    assert (content_ms[0], content_ms[-1], len(content_ms), n_tokens) == (300, 1060, 20, 40)
    assert offsets_ms(steps, ChunkKind.USAGE, ChunkKind.DONE) == [1310, 1310]
    assert (content_ms[-1] - content_ms[0]) / (n_tokens - 1) == pytest.approx(19.487, abs=1e-3)


def test_steps_of_one_instant_leave_in_one_send():
    made = Script((Step(0, b"a", HEAD), Step(0, b"b", 0), Step(5, b"c", 1), Step(9, b"", END)))
    assert made.offsets_ns == (0, 5, 9)
    assert made.datas == (b"ab", b"c", b"")
    assert made.send_of_step == (0, 0, 1, 2)


def test_steps_out_of_order_are_refused():
    with pytest.raises(ValueError, match="order"):
        Script((Step(5, b"a", 1), Step(0, b"b", 1)))


@pytest.mark.parametrize(
    ("fields", "asked", "counts"),
    [
        ({}, None, [1] * 32),
        ({}, 3, [1, 1, 1]),
        ({"tokens_per_chunk": 4}, 10, [4, 4, 2]),
        ({"tokens_per_chunk": 4}, 8, [4, 4]),
        ({"tokens_per_chunk": 2, "n_chunks": 3}, 99, [2, 2, 2]),
        ({}, 0, [1]),
    ],
)
def test_tokens_add_up_to_what_was_asked(fields, asked, counts):
    assert chunk_tokens(Prescription(**fields), Ask(n_output_tokens=asked)) == counts


def test_constant_gaps_do_not_drift():
    gap_ms = 1000 / 3
    offsets = chunk_offsets_ns(Prescription(ttft_ms=7, gap_ms=gap_ms), 100_000, 0)
    assert offsets[0] == 7 * NS_PER_MS
    assert abs(offsets[-1] - (7 + 99_999 * gap_ms) * NS_PER_MS) <= 1000  # 1 us after nine hours


def test_lognormal_gaps_have_the_prescribed_mean_and_spread():
    offsets = chunk_offsets_ns(Prescription(gap_ms=20, jitter="lognormal", sigma=0.5), 50_001, 0)
    gaps_ms = [(b - a) / NS_PER_MS for a, b in pairwise(offsets)]
    assert statistics.fmean(gaps_ms) == pytest.approx(20, rel=0.02)
    assert statistics.stdev(gaps_ms) == pytest.approx(20 * 0.533, rel=0.05)  # sqrt(exp(sigma^2) - 1)


def test_pauses_are_so_many_gaps_of_so_long():
    offsets = chunk_offsets_ns(PRESETS["pauses"], 20_001, 0)
    gaps_ms = [(b - a) / NS_PER_MS for a, b in pairwise(offsets)]
    assert set(gaps_ms) == {15.0, 210.0}
    assert gaps_ms.count(210.0) / len(gaps_ms) == pytest.approx(0.03, abs=0.005)


def test_jitter_is_repeatable_and_differs_between_variants():
    prescription = Prescription(jitter="lognormal", seed=5)
    assert chunk_offsets_ns(prescription, 20, 1) == chunk_offsets_ns(prescription, 20, 1)
    assert chunk_offsets_ns(prescription, 20, 1) != chunk_offsets_ns(prescription, 20, 2)


@pytest.mark.parametrize(
    ("usage", "wants", "kinds_with_usage"),
    [
        ("asked", True, [ChunkKind.USAGE]),
        ("asked", False, []),
        ("own", False, [ChunkKind.USAGE]),
        ("last", False, [ChunkKind.CONTENT]),
        ("every", False, [ChunkKind.CONTENT] * 3),
        ("none", True, []),
    ],
)
def test_usage_styles(usage, wants, kinds_with_usage):
    steps = event_steps(Prescription(usage=usage, n_chunks=3), Ask(n_prompt_tokens=9, wants_usage=wants))
    told = [step for step in steps if step.kind != ChunkKind.DONE and "usage" in payload(step)]
    assert [step.kind for step in told] == kinds_with_usage
    if told:
        usage_told = payload(told[-1])["usage"]
        assert (usage_told["prompt_tokens"], usage_told["completion_tokens"], usage_told["total_tokens"]) == (9, 3, 12)


def test_usage_on_every_chunk_counts_up():
    steps = event_steps(Prescription(usage="every", n_chunks=3, tokens_per_chunk=2), Ask())
    counts = [payload(step)["usage"]["completion_tokens"] for step in steps if step.kind == ChunkKind.CONTENT]
    assert counts == [2, 4, 6]


def test_reasoning_comes_first_and_is_counted():
    steps = event_steps(Prescription(n_chunks=5, reasoning_chunks=2, usage="own"), Ask())
    kinds = [step.kind for step in steps if step.kind in TOKEN_BEARING]
    assert kinds == [ChunkKind.REASONING] * 2 + [ChunkKind.CONTENT] * 3
    deltas = [payload(step)["choices"][0]["delta"] for step in steps if step.kind in TOKEN_BEARING]
    assert ["reasoning_content" in delta for delta in deltas] == [True, True, False, False, False]
    usage = next(payload(step)["usage"] for step in steps if step.kind == ChunkKind.USAGE)
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}


@pytest.mark.parametrize(
    ("role", "n_role_events", "first_delta"),
    [("at_once", 1, {"content": " alpha"}), ("with_first", 0, {"role": "assistant", "content": " alpha"})],
)
def test_role_styles(role, n_role_events, first_delta):
    steps = event_steps(Prescription(role=role, n_chunks=2), Ask())
    assert len(offsets_ms(steps, ChunkKind.ROLE)) == n_role_events
    first = next(step for step in steps if step.kind == ChunkKind.CONTENT)
    assert payload(first)["choices"][0]["delta"] == first_delta


def test_an_empty_text_can_come_at_once():
    steps = event_steps(Prescription(role="empty", n_chunks=2, ttft_ms=70), Ask())
    assert (steps[0].offset_ns, steps[0].kind, steps[0].n_tokens) == (0, ChunkKind.EMPTY, 0)
    assert payload(steps[0])["choices"][0]["delta"] == {"content": ""}
    assert offsets_ms(steps, ChunkKind.CONTENT) == [70, 80]


def test_completions_have_text_and_no_role():
    steps = event_steps(Prescription(n_chunks=2), Ask(api="completions"))
    assert not offsets_ms(steps, ChunkKind.ROLE)
    assert payload(steps[0])["choices"][0]["text"] == " alpha"
    assert payload(steps[0])["object"] == "text_completion"


@pytest.mark.parametrize(("finish", "reasons"), [("inside", [None, "length"]), ("own", [None, None, "length"])])
def test_finish_reason_in_the_last_chunk_or_after_it(finish, reasons):
    steps = event_steps(Prescription(n_chunks=2, finish=finish, role="none", done=False), Ask())
    assert [payload(step)["choices"][0]["finish_reason"] for step in steps] == reasons


def test_pings_fill_the_wait():
    steps = event_steps(Prescription(ttft_ms=100, ping_ms=30, n_chunks=1), Ask())
    assert offsets_ms(steps, ChunkKind.PING) == [30, 60, 90]


@pytest.mark.parametrize(("line_end", "end"), [("lf", b"\n\n"), ("crlf", b"\r\n\r\n"), ("cr", b"\r\r")])
def test_line_ends_and_the_space_after_data(line_end, end):
    step = event_steps(Prescription(line_end=line_end, space=False, role="none"), Ask())[0]
    assert step.data.startswith(b'data:{"id"')
    assert step.data.endswith(b"}" + end)


def test_content_events_are_as_large_as_those_of_engines():
    step = next(s for s in event_steps(Prescription(), Ask()) if s.kind == ChunkKind.CONTENT)
    assert 180 <= len(step.data) <= 260


@pytest.mark.parametrize(
    ("framing", "keeps_alive", "ending"),
    [("chunked", True, Ending.KEEP), ("length", True, Ending.KEEP), ("close", True, Ending.CLOSE),
     ("chunked", False, Ending.CLOSE)],
)  # fmt: skip
def test_what_becomes_of_the_connection(framing, keeps_alive, ending):
    made = script(Prescription(framing=framing), Ask(keeps_alive=keeps_alive))
    assert made.ending is ending
    assert (b"\r\nconnection: close\r\n" in made.steps[0].data) is (ending is Ending.CLOSE)


def test_head_can_wait_for_the_first_event():
    made = script(Prescription(head="with_first", role="none", ttft_ms=70), Ask())
    assert made.offsets_ns[0] == 70 * NS_PER_MS


def test_an_answer_that_does_not_stream_is_due_when_its_last_token_would_be():
    made = script(Prescription(ttft_ms=50, gap_ms=10, n_chunks=4, tokens_per_chunk=2), Ask(is_streamed=False))
    (step,) = made.steps
    assert (step.offset_ns, step.n_tokens) == (80 * NS_PER_MS, 8)
    head, _, body = step.data.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert json.loads(body)["choices"][0]["message"]["content"].split() == [
        "alpha", "bravo", "delta", "gamma", "kappa", "omega", "sigma", "theta",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{"nonsense": 1}, {"ttft_ms": -1}, {"usage": "sometimes"}, {"n_chunks": 0}, {"status": 99},
     {"fault": "bad_chunk_size", "framing": "length"}],
)  # fmt: skip
def test_wrong_prescriptions_are_refused(fields):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, Prescription)


def test_cached_prompt_tokens_are_told_where_prescribed_and_never_more_than_there_are():
    def cached(n_cached):
        steps = event_steps(Prescription(n_chunks=1, usage="own", cached_tokens=n_cached), Ask(n_prompt_tokens=9))
        (usage,) = [payload(step)["usage"] for step in steps if step.kind == ChunkKind.USAGE]
        return usage.get("prompt_tokens_details")

    assert cached(None) is None
    assert cached(4) == {"cached_tokens": 4}
    assert cached(100) == {"cached_tokens": 9}


def test_an_answer_that_the_server_cuts_short():
    steps = event_steps(Prescription(most_tokens=5, tokens_per_chunk=2), Ask(n_output_tokens=9))
    assert sum(step.n_tokens for step in steps) == 5
    assert sum(step.n_tokens for step in event_steps(Prescription(most_tokens=5), Ask(n_output_tokens=3))) == 3

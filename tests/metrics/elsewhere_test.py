# SPDX-License-Identifier: Apache-2.0
"""What other tools' formulas make of streams written by hand; every expected number is worked out from the formula."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from traces import CONTENT, MS, REASONING, ROLE, USAGE, awkward, failed, make_trace, request
from traces import S as SECOND

from inferometer.drive.answer import Answer
from inferometer.engines.openai import CHAT
from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.metrics import elsewhere
from inferometer.metrics.elsewhere import DEFINITIONS, TOOLS, Answers, definitions_of, values
from inferometer.metrics.elsewhere.answers import WHOLE_BUT_SHORT
from inferometer.stats import Missing

DONE, EMPTY, ERROR, PING = ChunkKind.DONE, ChunkKind.EMPTY, ChunkKind.ERROR, ChunkKind.PING
KEYS = [tool.key for tool in TOOLS]


def found(tool, quantity, *rows, **meta):
    """The values of the one definition that a tool has for a quantity."""
    (asked,) = definitions_of(tool, quantity)
    return values(asked, Answers(make_trace(*rows, **meta)))


def in_ms(tool, quantity, *rows):
    values_s = found(tool, quantity, *rows)
    assert not isinstance(values_s, Missing), values_s.reason
    return (values_s * 1e3).round(4).tolist()


def tidy(due=0, **columns):
    """Role at 5 ms, four tokens from 20 ms every 10 ms, usage at 52 ms, end marker and end at 53 ms."""
    chunks = [(5, ROLE), (20, CONTENT), (30, CONTENT), (40, CONTENT), (50, CONTENT), (52, USAGE), (53, DONE)]
    return at_ms(due, chunks, tokens=4, finish="stop", **columns)


def at_ms(due, chunks, **columns):
    return request(due=due * MS, chunks=[(round((due + t) * MS), *rest) for t, *rest in chunks], **columns)


# -- the tidy stream ------------------------------------------------------------------------------------------------

TIDY = {
    # first token, latency, (..)/(O - 1) with O = 4, between events, .. / O; in ms
    "vllm": (5, 50, 45 / 3, [15, 10, 10, 10], None),
    "guidellm": (20, 53, 30 / 3, None, 50 / 4),
    "aiperf": (20, 50, 30 / 3, [10, 10, 10], None),
    "inference-perf": (20, 53, 30 / 3, [10, 10, 10], 53 / 4),
    "evalscope": (20, 52, 32 / 3, [10, 10, 10], None),
    "genai-bench": (20, 52, 32 / 3, None, None),
}


@pytest.mark.parametrize("tool", KEYS)
def test_a_tidy_stream(tool):
    names = ("first_token", "latency", "per_token", "between", "normalized")
    for quantity, expected in zip(names, TIDY[tool], strict=True):
        if expected is None:
            assert not definitions_of(tool, quantity)
        elif isinstance(expected, list):
            assert in_ms(tool, quantity, tidy()) == expected, quantity
        else:
            assert in_ms(tool, quantity, tidy()) == [round(expected, 4)], quantity


def test_latency_counts_from_sent_in_all_of_them():
    for tool in KEYS:
        assert in_ms(tool, "latency", tidy(sent=2 * MS)) == [TIDY[tool][1] - 2], tool


# -- the awkward ones -----------------------------------------------------------------------------------------------


def test_the_awkward_stream_has_four_different_times_per_token():
    """First text at 300 ms, last at 1060 ms, 40 tokens in 20 events, usage at 1310 ms, role at 1 ms."""
    row = awkward()
    row = request(chunks=[*row.chunks, (1310 * MS, DONE)], tokens=40, finish="length")
    tpots = {tool: in_ms(tool, "per_token", row)[0] for tool in KEYS}
    same = round(760 / 39, 4)
    assert tpots == {
        "vllm": round(1059 / 39, 4),
        "guidellm": same,
        "aiperf": same,
        "inference-perf": same,
        "evalscope": round(1010 / 39, 4),
        "genai-bench": round(1010 / 39, 4),
    }
    assert in_ms("guidellm", "normalized", row) == [26.5]
    assert in_ms("inference-perf", "normalized", row) == [32.75]  # to the end of the body
    assert in_ms("vllm", "between", row) == [299.0] + [40.0] * 19
    assert in_ms("aiperf", "between", row) == in_ms("evalscope", "between", row) == [40.0] * 19
    untold = found("inference-perf", "between", row)  # 20 of 39 gaps are 0, but which?
    assert isinstance(untold, Missing)
    assert "tokenizer" in untold.reason


def test_an_empty_text_first_is_a_token_to_vllm_alone():
    row = at_ms(0, [(7, EMPTY), (20, CONTENT), (30, CONTENT), (31, USAGE), (31, DONE)], tokens=3, finish="stop")
    assert {tool: in_ms(tool, "first_token", row)[0] for tool in KEYS} == dict.fromkeys(KEYS, 20.0) | {"vllm": 7.0}


def test_a_finish_reason_alone_is_a_token_to_vllm_and_the_end_to_nobody_else():
    chunks = [(20, CONTENT), (30, CONTENT), (90, EMPTY), (95, USAGE), (99, DONE)]
    row = at_ms(0, chunks, tokens=2, finish="stop")
    latencies = {tool: in_ms(tool, "latency", row)[0] for tool in KEYS}
    assert latencies == {
        "vllm": 90, "guidellm": 99, "aiperf": 30, "inference-perf": 99, "evalscope": 95, "genai-bench": 95,
    }  # fmt: skip
    assert in_ms("vllm", "between", row) == [10, 60]


def test_comments_are_nothing_to_anybody():
    with_pings = at_ms(0, [(1, PING), (20, CONTENT), (30, CONTENT), (31, USAGE), (31, DONE), (40, PING)], finish="stop")
    without = at_ms(0, [(20, CONTENT), (30, CONTENT), (31, USAGE), (31, DONE)], finish="stop", end=40 * MS)
    for tool in KEYS:
        assert in_ms(tool, "first_token", with_pings) == in_ms(tool, "first_token", without) == [20.0], tool
        assert in_ms(tool, "latency", with_pings) == in_ms(tool, "latency", without), tool


def test_reasoning_is_a_first_token_to_five_of_six():
    chunks = [(10, REASONING), (20, REASONING), (50, CONTENT), (60, CONTENT), (61, USAGE), (61, DONE)]
    row = at_ms(0, chunks, tokens=4, finish="stop")
    firsts = {tool: in_ms(tool, "first_token", row)[0] for tool in KEYS}
    assert firsts == dict.fromkeys(KEYS, 10.0) | {"inference-perf": 50.0}
    assert in_ms("inference-perf", "per_token", row) == [round(10 / 3, 4)]  # stamps of 2 tokens, a count of 4
    assert [in_ms(tool, "first_answer", row) for tool in ("guidellm", "aiperf")] == [[50.0], [50.0]]
    assert not definitions_of("vllm", "first_answer")


def test_an_answer_of_one_token_has_no_time_per_token():
    row = at_ms(0, [(20, CONTENT), (21, USAGE), (22, DONE)], tokens=1, finish="stop")
    for tool in set(KEYS) - {"inference-perf"}:
        assert isinstance(found(tool, "per_token", row), Missing), tool
    assert "tokenizer" in found("inference-perf", "first_token", row).reason  # it asks for two token stamps


def test_genai_bench_drops_a_time_per_token_over_less_than_a_millisecond():
    row = at_ms(0, [(20, CONTENT), (20.5, CONTENT), (20.9, USAGE), (21, DONE)], tokens=2, finish="stop")
    assert isinstance(found("genai-bench", "per_token", row), Missing)
    assert in_ms("evalscope", "per_token", row) == [0.9]


# -- usage ------------------------------------------------------------------------------------------------------------


def test_without_usage_most_of_them_need_a_tokenizer():
    row = at_ms(0, [(20, CONTENT), (30, CONTENT), (40, CONTENT), (41, DONE)], tokens=-1, finish="stop")
    for tool in set(KEYS) - {"guidellm"}:
        missing = found(tool, "per_token", row)
        assert isinstance(missing, Missing), tool
        assert missing.reason.startswith("needs text and tokenizer of 1 of 1 answers"), tool
    assert in_ms("guidellm", "per_token", row) == [10.0]  # events for tokens
    assert in_ms("genai-bench", "latency", row) == [41.0]


def test_usage_inside_the_last_event_is_not_found_by_vllm():
    row = at_ms(0, [(20, CONTENT), (30, CONTENT), (33, DONE)], tokens=2, finish="stop", t_usage_ns=30 * MS)
    assert "tokenizer" in found("vllm", "per_token", row).reason
    assert in_ms("evalscope", "per_token", row) == [10.0]
    assert in_ms("genai-bench", "latency", row) == [30.0]


def test_usage_without_a_finish_reason_is_not_found_by_genai_bench():
    row = at_ms(0, [(20, CONTENT), (30, CONTENT), (40, USAGE), (41, DONE)], tokens=2)
    assert "tokenizer" in found("genai-bench", "per_token", row).reason
    assert in_ms("genai-bench", "latency", row) == [41.0]


def test_where_genai_bench_stops_is_not_told_by_a_running_count():
    row = at_ms(0, [(20, CONTENT, 1), (30, CONTENT, 1), (40, USAGE), (41, DONE)], tokens=2, finish="stop")
    assert "the finish reason told usage" in found("genai-bench", "latency", row).reason


# -- how answers end --------------------------------------------------------------------------------------------------


def short(due=0):
    """The body ends properly after two events; no finish reason, no usage, no end marker."""
    how = {"tokens": -1, "outcome": Outcome.TRUNCATED, "error": WHOLE_BUT_SHORT[0]}
    return at_ms(due, [(20, CONTENT), (30, CONTENT)], end=(due + 35) * MS, **how)


SHORT = short()
CUT = at_ms(0, [(20, CONTENT), (30, CONTENT)], outcome=Outcome.TRUNCATED, error="the connection was closed in mid-body")
IN_BAND = at_ms(
    0, [(20, CONTENT), (30, CONTENT), (40, ERROR), (40, DONE)], tokens=-1, outcome=Outcome.ENGINE_ERROR, error="no"
)
SILENT = at_ms(0, [(5, DONE)], tokens=-1, outcome=Outcome.TRUNCATED, error=WHOLE_BUT_SHORT[1])


def successes(row):
    """By tool: 1, 0, or the word of what is missing."""
    ends = {tool: found(tool, "success", row) for tool in KEYS}
    return {tool: end.reason if isinstance(end, Missing) else end.tolist() for tool, end in ends.items()}


def test_a_stream_that_just_stops_is_a_success_to_all_of_them():
    assert successes(SHORT) == {tool: [1.0] for tool in KEYS}
    assert in_ms("genai-bench", "latency", SHORT) == in_ms("guidellm", "latency", SHORT) == [35.0]


def test_a_connection_cut_in_mid_answer_is_a_failure_to_all_of_them():
    assert successes(CUT) == {tool: [0.0] for tool in KEYS}
    for row in (failed(Outcome.RESET), failed(Outcome.REFUSED, sent=-1), failed(Outcome.HTTP_STATUS)):
        assert successes(row) == {tool: [0.0] for tool in KEYS}


def test_an_error_in_mid_stream_is_seen_by_three_and_by_one_under_another_name():
    ends = successes(IN_BAND)
    assert "event: error" in ends.pop("aiperf")
    assert ends == {"vllm": [1.0], "inference-perf": [1.0], "guidellm": [0.0], "evalscope": [0.0], "genai-bench": [0.0]}


def test_an_answer_without_a_token():
    ends = successes(SILENT)
    assert "without text" in ends.pop("genai-bench")
    assert ends == {"vllm": [0.0], "guidellm": [0.0], "aiperf": [0.0], "inference-perf": [1.0], "evalscope": [1.0]}
    assert in_ms("evalscope", "first_token", SILENT) == [0.0]
    assert in_ms("evalscope", "latency", SILENT) == [0.0]
    assert in_ms("inference-perf", "normalized", SILENT) == [0.0]


@pytest.mark.parametrize("outcome", [Outcome.STALLED, Outcome.DEADLINE, Outcome.PROTOCOL, Outcome.CONNECT_TIMEOUT])
def test_what_this_client_gave_up_is_not_decided_for_others(outcome):
    gone = at_ms(0, [(20, CONTENT)], outcome=outcome)
    for definition in DEFINITIONS:
        assert isinstance(values(definition, Answers(make_trace(tidy(), gone))), Missing), definition


def test_failures_are_in_no_distribution():
    for tool in KEYS:
        assert in_ms(tool, "first_token", tidy(), CUT) == [TIDY[tool][0]], tool
        assert found(tool, "success", tidy(), CUT).tolist() == [1.0, 0.0], tool


def test_warm_up_and_what_was_still_open_are_not_covered():
    others = [tidy(phase=Phase.WARMUP), at_ms(0, [(9, CONTENT)], outcome=Outcome.CENSORED), failed(Outcome.NOT_SENT)]
    for tool in KEYS:
        assert in_ms(tool, "first_token", *others, tidy(due=100)) == [TIDY[tool][0]], tool


def test_the_words_of_a_whole_but_short_answer_are_those_of_the_decoder():
    answer = Answer(CHAT)
    answer.feed(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", 0)
    answer.feed(b"0\r\n\r\n", 0)
    assert answer.outcome(1) == (Outcome.TRUNCATED, WHOLE_BUT_SHORT[1])
    answer = Answer(CHAT)
    answer.feed(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", 0)
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    answer.feed(b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event), 0)
    assert answer.outcome(9) == (Outcome.TRUNCATED, WHOLE_BUT_SHORT[0])


# -- rates ------------------------------------------------------------------------------------------------------------


def test_rates_divide_by_spans_that_end_differently():
    """Two answers of 4 tokens, the second sent at 100 ms: text ends at 150, usage at 152, the body at 153 ms."""
    rows = (tidy(), tidy(due=100))
    ends = {"vllm": 153, "aiperf": 150, "inference-perf": 153, "evalscope": 152}
    for tool, end_ms in ends.items():
        assert found(tool, "requests", *rows) == pytest.approx([2 / (end_ms / 1e3)]), tool
        assert found(tool, "tokens", *rows) == pytest.approx([8 / (end_ms / 1e3)]), tool
    for tool in ("guidellm", "genai-bench"):
        assert "its own" in found(tool, "requests", *rows).reason
        assert "its own" in found(tool, "tokens", *rows).reason


def test_repeats_are_not_one_run():
    missing = found("vllm", "requests", tidy(), tidy(due=5000, trial=1))
    assert missing.reason == "needs one run; these are 2 repeats"


# -- all definitions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", DEFINITIONS, ids=lambda d: f"{d.tool.key}: {d.name}")
def test_every_definition_says_where_it_was_read(asked):
    assert asked.tool in TOOLS
    assert asked.source.endswith(".py")
    assert asked.formula
    assert not Path(asked.source).is_absolute()
    assert Path(inspect.getfile(asked.fn)).parent == Path(elsewhere.__file__).parent


@pytest.mark.parametrize("asked", DEFINITIONS, ids=lambda d: f"{d.tool.key}: {d.name}")
def test_no_definition_is_fooled_by_nothing(asked):
    for rows in ([], [failed(Outcome.NOT_SENT)], [request(t_last_content_ns=SECOND, end=SECOND, tokens=9)]):
        assert isinstance(values(asked, Answers(make_trace(*rows))), Missing)
    some = values(asked, Answers(make_trace(tidy(), tidy(due=100), CUT)))
    assert isinstance(some, Missing) or np.isfinite(some).all()


@pytest.mark.parametrize("asked", DEFINITIONS, ids=lambda d: f"{d.tool.key}: {d.name}")
def test_the_order_of_requests_and_the_origin_of_time_do_not_matter(asked):
    early = values(asked, Answers(make_trace(tidy(), tidy(due=100), short(due=200))))
    later = values(asked, Answers(make_trace(tidy(due=9100), short(due=9200), tidy(due=9000))))
    if isinstance(early, Missing):
        assert later == early
    else:
        assert sorted(early.tolist()) == pytest.approx(sorted(later.tolist()))


def test_the_page_shows_every_formula():
    page = (Path(__file__).parents[2] / "docs" / "evidence" / "definitions.md").read_text(encoding="utf-8")
    for asked in DEFINITIONS:
        tool = f"{asked.tool.title} {asked.tool.version}"
        assert f"| {tool} | {asked.name} | {asked.formula} | `{asked.source}` |" in page


# -- whole reports --------------------------------------------------------------------------------------------------


def awkward_run():
    """Three awkward answers, of 40, 20 and 2 tokens: first text at 300 ms, an event of 2 tokens every 40 ms."""
    rows = []
    for i, n_events in enumerate((20, 10, 1)):
        content = [(300 + 40 * j, CONTENT) for j in range(n_events)]
        last = content[-1][0]
        chunks = [(1, ROLE), *content, (last + 250, USAGE), (last + 251, DONE)]
        rows.append(at_ms(2000 * i, chunks, tokens=2 * n_events, finish="length"))
    return make_trace(*rows)


def told_as(key):
    (tool,) = (tool for tool in TOOLS if tool.key == key)
    report = elsewhere.report_as(tool, awkward_run())
    return {
        told.definition.name: told.statistics
        if isinstance(told.statistics, Missing)
        else {name: round(value * 1e3, 3) for name, value in told.statistics.items()}
        for told in report.told
    }


def test_the_awkward_run_as_vllm_tells_it():
    """TTFT to the role, ITL from the role on, percentiles interpolated: p99 of 1059, 659, 299 is 1051."""
    told = told_as("vllm")
    assert told["TTFT"] == {"mean": 1.0, "p50": 1.0, "p99": 1.0}
    assert told["E2EL"] == {"mean": round((1060 + 660 + 300) / 3, 3), "p50": 660.0, "p99": 1052.0}
    tpots = [1059 / 39, 659 / 19, 299 / 1]
    assert told["TPOT"] == {
        "mean": round(sum(tpots) / 3, 3),
        "p50": round(tpots[1], 3),
        "p99": round(tpots[1] + 0.98 * (tpots[2] - tpots[1]), 3),
    }
    gaps = sorted([299.0] * 3 + [40.0] * 28)
    assert told["ITL"] == {"mean": round(sum(gaps) / 31, 3), "p50": 40.0, "p99": 299.0}


def test_the_awkward_run_as_guidellm_tells_it():
    """No interpolation, and times per token weighed by tokens: 760/39, 360/19 and 0/1, weighing 39, 19 and 1."""
    told = told_as("guidellm")
    assert told["time_to_first_token_ms"] == {"mean": 300.0, "p50": 300.0, "p95": 300.0, "p99": 300.0}
    assert told["inter_token_latency_ms"] == {
        "mean": round((760 + 360 + 0) / 59, 3),
        "p50": round(760 / 39, 3),
        "p95": round(760 / 39, 3),
        "p99": round(760 / 39, 3),
    }
    # 1060/40, 660/20 and 300/2, weighing 40, 20 and 2 of 62
    assert told["time_per_output_token_ms"] == {
        "mean": round((1060 + 660 + 300) / 62, 3),
        "p50": 26.5,
        "p95": 33.0,
        "p99": 150.0,
    }
    assert isinstance(told["requests_per_second"], Missing)


def test_the_awkward_run_as_aiperf_tells_it():
    """Interpolated: p90 of 300, 660, 1060 is 980."""
    told = told_as("aiperf")
    assert told["Request Latency"] == {
        "mean": round(2020 / 3, 3),
        "min": 300.0,
        "max": 1060.0,
        "p99": 1052.0,
        "p90": 980.0,
        "p50": 660.0,
    }
    itls = [0.0, 360 / 19, 760 / 39]
    assert told["Inter Token Latency"]["p50"] == round(itls[1], 3)
    assert told["Inter Chunk Latency"]["max"] == 40.0
    assert told["Request Throughput"] == {"value": round(3 / 4.3 * 1e3, 3)}


def test_a_report_elsewhere_says_what_is_missing_instead_of_guessing():
    (tool,) = (tool for tool in TOOLS if tool.key == "vllm")
    report = elsewhere.report_as(tool, make_trace(tidy(trial=0), tidy(2000, trial=1)))
    missing = {told.definition.name for told in report.told if isinstance(told.statistics, Missing)}
    assert missing == {"Request throughput", "Output token throughput"}

# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain limits`, of a healthy server and of one that loses things."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.analysis.cutting import cutting_of
from inferometer.analysis.effective import Judged, effective_of
from inferometer.analysis.finding import Row
from inferometer.analysis.number import Number
from inferometer.analysis.reach import PARTS, Part
from inferometer.analysis.token_limits import LimitsExamination, Output, Speed
from inferometer.analysis.token_limits_findings import findings_of
from inferometer.analysis.window import Trial, Window
from inferometer.report.explain_limits import render

ENGINE = {"title": "llama.cpp", "version": "b6712", "model": "reader"}
SAID = "HTTP 400: request (2048 tokens) exceeds the available context size (2048 tokens), try increasing it"


def speed(n_tokens, ttft_s):
    return Speed(
        n_tokens,
        Number(ttft_s, 0.9 * ttft_s, 1.2 * ttft_s, 6, "s"),
        Number(0.0012, 0.0011, 0.0014, 6, "s/token"),
        Number(None, None, None, 0, "ratio", missing="no gauge"),
        Number(96e6, 96e6, 96e6, 1, "bytes"),
    )


def answers(n_aimed, shares):
    """A hundred questions, twenty at each depth."""
    return [
        Judged(n_aimed, n_aimed - 4, depth, i < round(20 * share))
        for depth, share in zip((0.0, 0.25, 0.5, 0.75, 1.0), shares, strict=True)
        for i in range(20)
    ]


def examination(window, outputs, overflow, reach, judged, *, not_measured=(), cutting=None):
    effective = effective_of(judged)
    found = findings_of(window, overflow, outputs, reach, effective)
    row = Row("limits", "length up to which answers stay right", effective.length, None, found, list(not_measured))
    return LimitsExamination(
        row=msgspec.structs.replace(row, seconds=123.0, n_requests=645),
        window=window,
        far="8,192 tokens: refused: " + SAID.replace("(2048", "(8192"),
        overflow=overflow,
        outputs=outputs,
        control=[],
        reach=reach,
        effective=effective,
        speeds=[speed(one.n_tokens, 0.001 * one.n_tokens) for one in effective.lengths],
        cutting=cutting,
        counts_by="the server's tokenizer",
        n_counts=10,
        seconds=123.0,
        budget_s=300.0,
        created="2026-11-30T10:00:00+00:00",
        engine=ENGINE,
        host={},
        versions={},
    )


FALLING = examination(
    Window(2_048, 2_047, Trial(2_048, "refused", None, 400, SAID), True, 2, []),
    [Output(32, 2_080, "shortened", 2_016, "length", "", True)],
    Output(2_016, 64, "shortened", 32, "length", "", True),
    [Part(1_921, part, 4, 0, 0 if part == "head" else 5, "reaches" if part == "head" else "read") for part in PARTS],
    [
        *answers(128, (1, 1, 1, 1, 1)),
        *answers(512, (0.95, 1, 1, 1, 1)),
        *answers(1_024, (0, 0.5, 1, 1, 1)),
        *answers(1_921, (0, 0, 0, 0.5, 1)),
    ],
    cutting=cutting_of(
        {
            "keep head": [False] * 100,
            "keep tail": [i < 49 for i in range(100)],
            "keep both ends": [i < 46 for i in range(100)],
        },
        n_from=1_016,
        n_to=508,
    ),
)
LOSING = examination(
    Window(None, 1_700, Trial(1_701, "cut", 1_700), True, 12, []),
    [Output(32, 1_669, "shortened", 300, "length", "", True)],
    Output(1_669, 64, "given", 64, "length", "", True),
    [Part(2_550, part, 2, 2 if part == "head" else 0, 0, "lost" if part == "head" else "read") for part in PARTS],
    answers(128, (1, 1, 1, 1, 1)),
    not_measured=["whether answers at 1,591 tokens are right: no time was left"],
)


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(("name", "found"), [("falling", FALLING), ("losing", LOSING)])
def test_the_screen(golden, name, found, width):
    text = render(found, folder="runs/limits", width=width)
    golden(f"explain-limits-{name}-{width}.txt", text)
    assert text.isascii()
    assert all(len(line) <= width for line in text.splitlines())


def test_it_is_read_back_as_it_was_written():
    data = msgspec.json.encode(FALLING)
    assert msgspec.json.decode(data, type=LimitsExamination) == FALLING

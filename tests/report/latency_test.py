# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain latency`: parts with intervals, shares and how they were had; findings; what was not told."""

from __future__ import annotations

from msgspec import structs

from inferometer.analysis.finding import Bound, Finding, Remedy, Row
from inferometer.analysis.iteration_model import IterationModel, LoadError
from inferometer.analysis.latency import LatencyExamination, LoadRow, Share
from inferometer.analysis.latency_parts import BY_DIFFERENCE, BY_FIT, BY_PROBE, OUR_CLOCK, SERVER_CLOCK, Part, Split
from inferometer.analysis.number import Number
from inferometer.analysis.slowdown import Slowdown
from inferometer.analysis.stalls import Coincidence, HoldUp, Stalls
from inferometer.analysis.waiting import Waiting
from inferometer.report.explain_latency import render

UNTOLD = Number(None, None, None, 0, "requests", missing="the server does not tell")
NOWHERE = Waiting(UNTOLD, UNTOLD, UNTOLD, UNTOLD, UNTOLD, 8)


def number(value, unit="s", n=157, width=0.03):
    return Number(value, value - width * abs(value), value + width * abs(value), n, unit)


def split(metric, load, parts, residual):
    unit = "s" if metric == "ttft_s" else "s/token"
    whole = sum(value for _, value, _ in parts) + residual
    told = [Part(name, number(value, unit), value / whole, how) for name, value, how in parts]
    return Split(metric, load, 157, number(whole, unit), told, number(residual, unit))


def load(name, n, ttft, tpot, n_failed=0):
    return LoadRow(name, f"points/{name}", n, 128.0, 48.0, 3.0, 157, n_failed, number(0.304), ttft, tpot, NOWHERE)


TTFT = [
    ("connect", 0.00005, BY_PROBE),
    ("client", 0.0003, OUR_CLOCK),
    ("http", 0.0012, BY_PROBE),
    ("queue", 0.0068, BY_DIFFERENCE),
    ("prefill", 0.00781, SERVER_CLOCK),
    ("first decode", 0.00474, BY_FIT),
]
TPOT = [
    ("floor", 0.00408, BY_FIT),
    ("batch", 0.00064, BY_FIT),
    ("context", 0.00011, BY_FIT),
    ("interference", 0.0011, BY_FIT),
    ("stalls", 0.0004, "measured less the fit"),
]
MODEL = IterationModel(
    number(0.00399),
    number(6.15e-5, "s/token"),
    number(9.9e-5, "s/sequence"),
    number(9.7e-8, "s/token"),
    0.02,
    900,
    number(0.0078, "ratio"),
    [
        LoadError("alone", number(-0.005, "ratio"), number(0.01, "ratio")),
        LoadError("8 in flight", number(0.008, "ratio"), number(0.02, "ratio")),
    ],
    e=number(2.3e-7, "s/pair"),
    g=number(0.0027, "s/request"),
)
STALLS = Stalls(
    12,
    4,
    0.021,
    number(0.31, n=4),
    [Coincidence("prefill", 1.0, 0.21, 0.002, True), Coincidence("preemption", 0.0, 0.0, 1.0, False)],
    "prefill",
    None,
    0.9,
)
FINDING = Finding(
    "prefill_stalls",
    "latency",
    "bad",
    "streams stand still: 4 times for 310 ms (median), 2.1 % of their time",
    "prompts of others are computed whole, and nobody gets a token meanwhile",
    "instants of all requests: somebody's prompt was being computed during 100 % of them, and 21 % of all other time",
    number(0.31, n=4),
    Bound(0.2, "s", "the laxest limit of MLPerf Inference on a token"),
    Remedy("compute prompts in pieces: --batch-size 512", ("chunked_prefill=on",), "waits of about one piece"),
)


def found(**changes):
    busy = load(
        "8 in flight", 8, split("ttft_s", "8 in flight", TTFT, 0.0002), split("tpot_s", "8 in flight", TPOT, 5e-5)
    )
    row = Row(
        "latency",
        "a request of 128 tokens, answered with 48, with 8 in flight",
        number(0.304),
        Bound(0.228, "s", "the same alone"),
        [FINDING],
        ["prompts longer than 128 tokens: the context or the time has no room"],
        181.0,
        436,
    )
    whole = LatencyExamination(
        row=row,
        loads=[load("alone", 1, None, None, n_failed=2), busy, load("alone, again", 1, None, None)],
        operating="8 in flight",
        alone="alone",
        model=MODEL,
        http_s=0.0012,
        connect=number(0.00005),
        shares=[Share("decode", 0.761, 0.2), Share("prefill", 0.199, 0.05), Share("client", 0.001, 0.0003)],
        resource="decode",
        stalls=STALLS,
        held_up=HoldUp(number(0.31), 1.0, 2_100, 0.005),
        slowdown=Slowdown(number(1.01, "ratio"), None, "alone, at the beginning and in the end"),
        doubts=["suspect: others kept the engine from a CPU for up to 12 % of the time it wanted to run"],
        engine={"title": "llama.cpp", "version": "b6712", "model": "reader"},
        budget_s=180.0,
    )
    return structs.replace(whole, **changes)


def checked(golden, name, text, width):
    golden(name, text)
    assert text.isascii()
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith("folder"))


def test_everything_told(golden):
    for width in (80, 100):
        checked(golden, f"latency-{width}.txt", render(found(), folder="runs/latency", width=width), width)


def test_nothing_was_streamed(golden):
    row = structs.replace(found().row, findings=[], headline="", figure=UNTOLD, bound=None)
    bare = found(row=row, model=None, loads=[load("alone", 1, None, None)], operating="", shares=[], resource="")
    bare = structs.replace(bare, stalls=None, held_up=None, slowdown=None, doubts=[])
    checked(golden, "latency-nothing-100.txt", render(bare, folder="runs/latency", width=100), 100)

# SPDX-License-Identifier: Apache-2.0
"""What published definitions make of the same bytes: awkward streams, measured once, computed by every formula.

    python benchmarks/definitions.py [--requests 20] [--only NAME]

The ground-truth server sends each stream, `inferometer run` measures it, and the formulas of other tools' releases are
applied to the records of that run. Prints the tables of docs/evidence/definitions.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferometer.metrics.elsewhere import DEFINITIONS, TOOLS, Answers, Definition, Tool, definitions_of, values
from inferometer.run_folder import Run
from inferometer.stats import Missing
from inferometer.truth.launch import TruthServer
from inferometer.truth.script import PRESETS, Prescription

CONCURRENCY = 4
WIDTH = 120  # of the lines of a page


@dataclass(frozen=True)
class Stream:
    """One kind of answer. `truth`: what holds by construction, in ms, by row of ROWS; `n_tokens` it is asked for."""

    title: str
    prescription: Prescription
    n_tokens: int
    truth: dict[str, float]
    are_ok: bool = True


@dataclass(frozen=True)
class Row:
    """A row of a table: the quantity in other tools, and the metric and statistic of this one."""

    title: str
    quantity: str
    metric: str
    percentile: int


ROWS = (
    Row("first token, p50", "first_token", "ttft_sent_s", 50),
    Row("first answer token, p50", "first_answer", "ttfat_s", 50),
    Row("last token, p50", "latency", "e2e_sent_s", 50),
    Row("per token after the first, p50", "per_token", "tpot_s", 50),
    Row("per token, the first included, p50", "normalized", "normalized_latency_s", 50),
    Row("between events, p99", "between", "gap_s", 99),
)


def plain(n_chunks: int = 30, **fields: Any) -> Prescription:
    return Prescription(**({"gap_ms": 10, "n_chunks": n_chunks, "usage": "own"} | fields))


STREAMS = {
    "awkward": Stream(
        "All at once: a role at 0 ms, 20 events of 2 tokens from 300 ms every 40 ms, usage 250 ms after the last",
        PRESETS["awkward"],
        40,
        {"first_token": 300, "latency": 1060, "per_token": 760 / 39, "normalized": 1060 / 40, "between": 40},
    ),
    "role-early": Stream(
        "A role at 0 ms, the first of 30 tokens at 200 ms",
        plain(ttft_ms=200),
        30,
        {"first_token": 200, "latency": 490, "per_token": 10, "normalized": 490 / 30, "between": 10},
    ),
    "empty-first": Stream(
        "An event with an empty text at 0 ms, the first of 30 tokens at 200 ms",
        plain(ttft_ms=200, role="empty"),
        30,
        {"first_token": 200, "latency": 490, "per_token": 10, "normalized": 490 / 30, "between": 10},
    ),
    "bundles": Stream(
        "10 events of 4 tokens each, every 40 ms from 100 ms",
        plain(10, ttft_ms=100, gap_ms=40, tokens_per_chunk=4),
        40,
        {"first_token": 100, "latency": 460, "per_token": 360 / 39, "normalized": 460 / 40, "between": 40},
    ),
    "late-usage": Stream(
        "30 tokens every 10 ms from 100 ms; usage and end marker 500 ms after the last",
        plain(ttft_ms=100, finish="own", usage_delay_ms=500),
        30,
        {"first_token": 100, "latency": 390, "per_token": 10, "normalized": 390 / 30, "between": 10},
    ),
    "reasoning": Stream(
        "20 tokens of reasoning every 10 ms from 100 ms, then 10 of the answer",
        plain(ttft_ms=100, reasoning_chunks=20),
        30,
        {
            "first_token": 100,
            "first_answer": 300,
            "latency": 390,
            "per_token": 10,
            "normalized": 390 / 30,
            "between": 10,
        },
    ),
    "pauses": Stream(
        "60 tokens from 200 ms, 97 % of the gaps 15 ms, 3 % of them 210 ms",
        PRESETS["pauses"],
        60,
        {"first_token": 200, "between": 210},
    ),
    "stall": Stream(
        "30 tokens every 10 ms from 100 ms, but for 3 s nothing after the tenth",
        plain(ttft_ms=100, fault="stall", fault_ms=3000),
        30,
        {"first_token": 100, "latency": 3390, "per_token": 3290 / 29, "normalized": 3390 / 30, "between": 3010},
    ),
    "stops": Stream(
        "The body ends properly after 10 of 30 tokens: no finish reason, no usage, no end marker",
        plain(ttft_ms=100, fault="end_early"),
        30,
        {},
        are_ok=False,
    ),
    "error": Stream(
        "After 0 to 10 of 30 tokens an error object (`data:` alone), then the end marker",
        plain(ttft_ms=100, faults=("error_event",)),
        30,
        {},
        are_ok=False,
    ),
    "named-error": Stream(
        "The same with `event: error` before it",
        plain(ttft_ms=100, faults=("named_error_event",)),
        30,
        {},
        are_ok=False,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20, help="per stream")
    parser.add_argument("--only", choices=STREAMS, help="one stream")
    options = parser.parse_args()
    print("\n".join(words()))
    for name in [options.only] if options.only else STREAMS:
        print("\n".join(measured(STREAMS[name], options.requests)), flush=True)


def words() -> Iterator[str]:
    """What each tool calls each quantity, and as what formula."""
    yield "| tool | calls it | formula | read in |"
    yield "|---|---|---|---|"
    for each in DEFINITIONS:
        yield f"| {each.tool.title} {each.tool.version} | {each.name} | {each.formula} | `{each.source}` |"


def measured(stream: Stream, n_requests: int) -> Iterator[str]:
    """One stream's table, and below it the reasons of what could not be computed."""
    with tempfile.TemporaryDirectory() as folder, TruthServer(stream.prescription) as server:
        report = run(server.url, stream, n_requests, Path(folder) / "run")
        answers = Answers(Run.open(str(Path(folder) / "run")).trace())
    notes: dict[str, list[str]] = {}
    yield f"\n### {stream.title}\n"
    yield "| ms | by construction | inferometer | " + " | ".join(tool.title for tool in TOOLS) + " |"
    yield "|---|" + "---|" * (2 + len(TOOLS))
    n_done = len(answers.requests)
    ours = f"{report['counts']['ok']} of {n_done}"
    theirs = [n_successes(tool, answers, notes) for tool in TOOLS]
    yield line("successes", [f"{n_done if stream.are_ok else 0} of {n_done}", ours, *theirs])
    for row in ROWS:
        if row.quantity == "first_answer" and row.quantity not in stream.truth:
            continue
        truth = stream.truth.get(row.quantity)
        theirs = [statistic(tool, row, answers, notes) for tool in TOOLS]
        yield line(row.title, ["-" if truth is None else f"{truth:.2f}", own(report, row), *theirs])
    for reason, tools in notes.items():
        yield "\n" + textwrap.fill(f"`?` for {', '.join(dict.fromkeys(tools))}: {reason}.", WIDTH)


def run(url: str, stream: Stream, n_requests: int, folder: Path) -> dict[str, Any]:
    """The JSON report of one run, whatever its exit code."""
    flags = ["--concurrency", str(CONCURRENCY), "--requests", str(n_requests), "--warmup", "0", "--input-tokens", "8"]
    flags += ["--output-tokens", str(stream.n_tokens), "--api", "chat", "--quiet", "--format", "json"]
    argv = [sys.executable, "-m", "inferometer", "run", url, *flags, "--out", str(folder)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def line(title: str, cells: list[str]) -> str:
    return f"| {title} | " + " | ".join(cells) + " |"


def own(report: dict[str, Any], row: Row) -> str:
    value = report["metrics"][row.metric].get(f"p{row.percentile}", {}).get("value")
    return "-" if value is None else f"{value * 1e3:.2f}"


def n_successes(tool: Tool, answers: Answers, notes: dict[str, list[str]]) -> str:
    (asked,) = definitions_of(tool.key, "success")
    found = values(asked, answers)
    if isinstance(found, Missing):
        return unknown(asked, found, notes)
    return f"{int(found.sum())} of {len(found)}"


def statistic(tool: Tool, row: Row, answers: Answers, notes: dict[str, list[str]]) -> str:
    """The tool's own word and the percentile (linear interpolation) of its values."""
    cells = []
    for asked in definitions_of(tool.key, row.quantity):
        found = values(asked, answers)
        if isinstance(found, Missing):
            cells.append(unknown(asked, found, notes))
        else:
            cells.append(f"{np.percentile(found, row.percentile) * 1e3:.2f}")
    return ", ".join(cells) or "-"


def unknown(asked: Definition, missing: Missing, notes: dict[str, list[str]]) -> str:
    if missing.n == 0:
        return "none"
    notes.setdefault(missing.reason, []).append(asked.tool.title)
    return "?"


if __name__ == "__main__":
    main()

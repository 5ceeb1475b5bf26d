# SPDX-License-Identifier: Apache-2.0
"""What `sweep` and `limit` do: from flags to what is printed, and the exit code; and their reports from a folder."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from inferometer import config as configuration
from inferometer.analysis import accuracy as accuracies
from inferometer.analysis import cost as costs
from inferometer.analysis import curve, explanation, token_limits
from inferometer.analysis import latency as latencies
from inferometer.analysis import limit as limits
from inferometer.analysis import memory as memories
from inferometer.analysis import scale as scaling
from inferometer.analysis.accuracy import AccuracyExamination
from inferometer.analysis.cost import CostExamination
from inferometer.analysis.curve import Sweep
from inferometer.analysis.explanation import Explanation
from inferometer.analysis.latency import LatencyExamination
from inferometer.analysis.limit import LimitSearch
from inferometer.analysis.memory import MemoryExamination
from inferometer.analysis.scale import ScaleExamination
from inferometer.analysis.token_limits import LimitsExamination
from inferometer.cli.live import make_observer
from inferometer.cli.options import Format, width
from inferometer.cli.outcome import put
from inferometer.config import Experiment
from inferometer.errors import GateFailed, RunError, UsageError
from inferometer.metrics.slo_presets import Objective
from inferometer.probes import limit as searching
from inferometer.probes import sweep as sweeping
from inferometer.probes.explain.whole import Examination
from inferometer.probes.results import read_result
from inferometer.report import explain as explain_text
from inferometer.report import explain_accuracy as accuracy_text
from inferometer.report import explain_cost as cost_text
from inferometer.report import explain_latency as latency_text
from inferometer.report import explain_limits as limits_text
from inferometer.report import explain_memory as memory_text
from inferometer.report import explain_scale as scale_text
from inferometer.report import limit as limit_text
from inferometer.report import sweep as sweep_text
from inferometer.report.html import explanation as explain_page

MIN_BUDGET_S = 60.0


def resolve(given: Mapping[str, Any], file: str | None) -> Experiment:
    """The experiment that all runs have in common. Raises: UsageError."""
    config = configuration.resolve(given, file)
    if config.requests is not None or config.repeats > 1:
        raise UsageError("a probe decides itself how many requests and runs a load takes", "drop requests and repeats")
    if config.warmup is not None and config.warmup.n_requests:
        raise UsageError("--warmup of a probe is a time: runs of many loads are compared", "write --warmup 5s")
    if config.slo:
        from inferometer.metrics.slo import parse_limits

        parse_limits(config.slo)
    return config


def sweep(config: Experiment, ladder: sweeping.Ladder, format: Format, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError; what ended it early, after its report."""
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder, result, stopped = sweeping.run(config, ladder, observer)
    finally:
        observer.close()
    code = report(SWEEP, folder, format.value) if result.points else RunError.exit_code
    if stopped is not None:
        raise stopped
    return code


def limit(
    config: Experiment,
    objective: Objective,
    format: Format,
    *,
    is_closed: bool,
    budget_s: float | None,
    is_quiet: bool,
) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError; what ended it early, after its report."""
    budget_s = searching.BUDGET_S if budget_s is None else budget_s
    if not MIN_BUDGET_S <= budget_s <= configuration.MAX_FOR_S:
        raise UsageError(f"--budget {budget_s:g}s is no time for a search", "give 1m to 168h")
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder, _, stopped = searching.run(config, objective, observer, is_closed=is_closed, budget_s=budget_s)
    finally:
        observer.close()
    code = report(LIMIT, folder, format.value)
    if stopped is not None:
        raise stopped
    return code


def sweep_exit_code(result: Sweep) -> int:
    """4 if not one point can be used."""
    usable = [point for point in result.points if point.verdict != "invalid"]
    return 0 if usable else RunError.exit_code


def limit_exit_code(result: LimitSearch) -> int:
    """5 if no load meets the limits, 4 if no limit could be told."""
    if result.limit.value is not None:
        return 0
    alone = result.alone_share.value
    return GateFailed.exit_code if alone is not None and alone < result.attainment else RunError.exit_code


def examination_exit_code(result: Examination) -> int:
    """4 if nothing could be measured. What was found is an answer, not a failure."""
    return 0 if result.row.findings or result.row.figure.value is not None else RunError.exit_code


def explanation_exit_code(result: Explanation) -> int:
    """4 if nothing of any challenge could be measured."""
    known = [row for row in result.rows if row.findings or row.figure.value is not None]
    return 0 if known else RunError.exit_code


@dataclass(frozen=True, slots=True)
class Kind:
    """What a probe leaves: the file of its result, and how that is read, printed and judged."""

    title: str
    file: str
    result: type[msgspec.Struct]
    schema: str
    render: Callable[..., str]
    exit_code: Callable[[Any], int]
    page: Callable[[Any, Path], str] | None = None


def explanation_page(result: Explanation, folder: Path) -> str:
    """As HTML, with the curves of how it scales where they are there."""
    examined = result.folders.get("scale")
    path = folder / examined / scaling.FILE if examined is not None else None
    scale = None if path is None else read_result(path, ScaleExamination, scaling.SCHEMA)
    return explain_page.render(result, scale, folder=folder.resolve().name)


SWEEP = Kind("a sweep", curve.FILE, Sweep, curve.SCHEMA, sweep_text.render, sweep_exit_code)
LIMIT = Kind("a limit search", limits.FILE, LimitSearch, limits.SCHEMA, limit_text.render, limit_exit_code)
EXPLANATION = Kind(
    "an explanation",
    explanation.FILE,
    Explanation,
    explanation.SCHEMA,
    explain_text.render,
    explanation_exit_code,
    explanation_page,
)


def _examination(file: str, result: type[msgspec.Struct], schema: str, render: Callable[..., str]) -> Kind:
    return Kind("an examination", file, result, schema, render, examination_exit_code)


LATENCY = _examination(latencies.FILE, LatencyExamination, latencies.SCHEMA, latency_text.render)
COST = _examination(costs.FILE, CostExamination, costs.SCHEMA, cost_text.render)
MEMORY = _examination(memories.FILE, MemoryExamination, memories.SCHEMA, memory_text.render)
LIMITS = _examination(token_limits.FILE, LimitsExamination, token_limits.SCHEMA, limits_text.render)
ACCURACY = _examination(accuracies.FILE, AccuracyExamination, accuracies.SCHEMA, accuracy_text.render)
SCALE = _examination(scaling.FILE, ScaleExamination, scaling.SCHEMA, scale_text.render)
# A folder is known by its file.
KINDS = {kind.file: kind for kind in (SWEEP, LIMIT, EXPLANATION, LATENCY, COST, MEMORY, LIMITS, ACCURACY, SCALE)}


def report(kind: Kind, folder: Path, format: str, out: str | None = None) -> int:
    """Print what a probe came to, from its folder, or write its page to `out`. Returns the exit code.

    Raises: UsageError, FormatError, RunError.
    """
    result = read_result(folder / kind.file, kind.result, kind.schema)
    if format == "html" and kind.page is not None:
        put(kind.page(result, folder), out)
        return kind.exit_code(result)
    if out is not None:
        raise UsageError(f"{kind.title} is written to a file as a page only", "take --format html, or leave --out out")
    if format == "json":
        sys.stdout.write((folder / kind.file).read_text(encoding="utf-8"))
    elif format == "text":
        sys.stdout.write(kind.render(result, folder=str(folder), width=width()))
    else:
        formats = "text, json or html" if kind.page is not None else "text or json"
        raise UsageError(f"{kind.title} has no report as {format}", f"take --format {formats}")
    sys.stdout.flush()
    return kind.exit_code(result)

# SPDX-License-Identifier: Apache-2.0
"""What `sweep` and `limit` do, from flags to the exit code; and the report of any probe from its folder."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from inferometer import config as configuration
from inferometer.analysis import accuracy as accuracies
from inferometer.analysis import choice as choices
from inferometer.analysis import cost as costs
from inferometer.analysis import curve, explanation, token_limits
from inferometer.analysis import latency as latencies
from inferometer.analysis import limit as limits
from inferometer.analysis import memory as memories
from inferometer.analysis import scale as scaling
from inferometer.analysis.accuracy import AccuracyExamination
from inferometer.analysis.choice import Choice
from inferometer.analysis.cost import CostExamination
from inferometer.analysis.curve import Sweep
from inferometer.analysis.explanation import Explanation
from inferometer.analysis.latency import LatencyExamination
from inferometer.analysis.limit import LimitSearch
from inferometer.analysis.memory import MemoryExamination
from inferometer.analysis.scale import ScaleExamination
from inferometer.analysis.token_limits import LimitsExamination
from inferometer.cli.dry_run import probe_estimate
from inferometer.cli.live import make_observer
from inferometer.cli.options import Format, width
from inferometer.cli.output import keep_report, put
from inferometer.config import Experiment
from inferometer.errors import GateFailed, RunError, UsageError
from inferometer.metrics.slo import parse_limits
from inferometer.metrics.slo_presets import Objective, parse_objective
from inferometer.probes import limit as searching
from inferometer.probes import outlook
from inferometer.probes import sweep as sweeping
from inferometer.probes.explain.whole import Examination
from inferometer.probes.outlook import Outlook
from inferometer.probes.results import read_result
from inferometer.report import choice as choice_text
from inferometer.report import explain as explain_text
from inferometer.report import explain_accuracy as accuracy_text
from inferometer.report import explain_cost as cost_text
from inferometer.report import explain_latency as latency_text
from inferometer.report import explain_limits as limits_text
from inferometer.report import explain_memory as memory_text
from inferometer.report import explain_scale as scale_text
from inferometer.report import limit as limit_text
from inferometer.report import probe_plan
from inferometer.report import sweep as sweep_text

MIN_BUDGET_S = 60.0


def resolve(given: Mapping[str, Any], file: str | None) -> Experiment:
    """The experiment that all runs of a sweep have in common. Raises: UsageError."""
    config = _common(given, file)
    if config.slo:
        parse_limits(config.slo)
    return config


def resolve_objective(
    given: Mapping[str, Any], file: str | None, attainment: float | None
) -> tuple[Experiment, Objective]:
    """What all looks of a search have in common, and what it searches for: limits or a preset, of the flag or of the
    file. Raises: UsageError."""
    config = _common(given, file)
    if not config.slo:
        raise UsageError("limit has no limits to search for", "give them: --slo 'ttft<500ms,tpot<50ms', or --slo chat")
    objective = parse_objective(config.slo, attainment)
    return replace(config, slo=objective.limits.text), objective


def _common(given: Mapping[str, Any], file: str | None) -> Experiment:
    config = configuration.resolve(given, file)
    if config.requests is not None or config.repeats > 1:
        raise UsageError("a probe decides itself how many requests and runs a load takes", "drop requests and repeats")
    if config.warmup is not None and config.warmup.n_requests:
        raise UsageError("--warmup of a probe is a time: runs of many loads are compared", "write --warmup 5s")
    return config


def sweep(config: Experiment, ladder: sweeping.Ladder, format: Format, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError; what ended it early, after its report."""
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder, result, stopped = sweeping.run(config, ladder, observer, keep_report)
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
    within_s = _budget_s(budget_s)
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = searching.run(config, objective, observer, keep_report, is_closed=is_closed, budget_s=within_s)
    finally:
        observer.close()
    folder, _, stopped = found
    code = report(LIMIT, folder, format.value)
    if stopped is not None:
        raise stopped
    return code


def print_sweep_plan(config: Experiment, ladder: sweeping.Ladder, format: Format) -> None:
    """What a sweep would do. Raises: UsageError for what could not be carried out."""
    _print_plan(config, outlook.of_sweep(config, ladder), format, probe="sweep", slo=config.slo)


def print_limit_plan(
    config: Experiment, objective: Objective, format: Format, *, is_closed: bool, budget_s: float | None
) -> None:
    """What a limit search would do. Raises: UsageError for what could not be carried out."""
    within_s = _budget_s(budget_s)
    expected = outlook.of_limit(config, objective, is_closed=is_closed, budget_s=within_s)
    slo = f"{objective.limits.text} by {100 * objective.attainment:g} % of requests"
    _print_plan(config, expected, format, probe="limit", slo=slo)


def _print_plan(config: Experiment, expected: Outlook, format: Format, *, probe: str, slo: str) -> None:
    plan = probe_estimate(config, expected, probe=probe, slo=slo)
    put(probe_plan.to_json(plan).decode() if format is Format.JSON else probe_plan.render(plan, width=width()), None)


def _budget_s(given_s: float | None) -> float:
    """Raises: UsageError if that is no time for a search."""
    budget_s = searching.BUDGET_S if given_s is None else given_s
    if not MIN_BUDGET_S <= budget_s <= configuration.MAX_FOR_S:
        raise UsageError(f"--budget {budget_s:g}s is no time for a search", "give 1m to 168h")
    return budget_s


def sweep_exit_code(result: Sweep) -> int:
    """4 if not one point can be used."""
    usable = [point for point in result.points if point.verdict != "invalid"]
    return 0 if usable else RunError.exit_code


def limit_exit_code(result: LimitSearch) -> int:
    """5 if no load meets the limits, 4 if no limit could be told, nor the highest load be shown to hold."""
    if result.limit.value is not None or result.holds is not None:
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


def choice_exit_code(result: Choice) -> int:
    """5 if no candidate keeps the limits, 4 if none could be measured."""
    if result.verdict != "none":
        return 0
    is_missed = any(one.state == "misses" for one in result.candidates)
    return GateFailed.exit_code if is_missed else RunError.exit_code


@dataclass(frozen=True, slots=True)
class Kind:
    """What a probe leaves: the file of its result, and how that is read, told as text and judged."""

    file: str
    result: type[msgspec.Struct]
    schema: str
    render: Callable[..., str]
    exit_code: Callable[[Any], int]


def explanation_page(result: Explanation, folder: Path) -> str:
    """As HTML, with the curves of how it scales where they are there."""
    from inferometer.report.html import explanation as explain_page

    examined = result.folders.get("scale")
    path = folder / examined / scaling.FILE if examined is not None else None
    scale = None if path is None else read_result(path, ScaleExamination, scaling.SCHEMA)
    return explain_page.render(result, scale, folder=folder.resolve().name)


SWEEP = Kind(curve.FILE, Sweep, curve.SCHEMA, sweep_text.render, sweep_exit_code)
LIMIT = Kind(limits.FILE, LimitSearch, limits.SCHEMA, limit_text.render, limit_exit_code)
CHOICE = Kind(choices.FILE, Choice, choices.SCHEMA, choice_text.render, choice_exit_code)
EXPLANATION = Kind(explanation.FILE, Explanation, explanation.SCHEMA, explain_text.render, explanation_exit_code)
LATENCY = Kind(latencies.FILE, LatencyExamination, latencies.SCHEMA, latency_text.render, examination_exit_code)
COST = Kind(costs.FILE, CostExamination, costs.SCHEMA, cost_text.render, examination_exit_code)
MEMORY = Kind(memories.FILE, MemoryExamination, memories.SCHEMA, memory_text.render, examination_exit_code)
LIMITS = Kind(token_limits.FILE, LimitsExamination, token_limits.SCHEMA, limits_text.render, examination_exit_code)
ACCURACY = Kind(accuracies.FILE, AccuracyExamination, accuracies.SCHEMA, accuracy_text.render, examination_exit_code)
SCALE = Kind(scaling.FILE, ScaleExamination, scaling.SCHEMA, scale_text.render, examination_exit_code)
EXAMINATIONS = (LATENCY, COST, MEMORY, LIMITS, ACCURACY, SCALE)
KINDS = {
    kind.file: kind for kind in (SWEEP, LIMIT, CHOICE, EXPLANATION, *EXAMINATIONS)
}  # a folder is known by its file


def report(kind: Kind, folder: Path, format: str, out: str | None = None) -> int:
    """Print what a probe came to, from its folder, or write it to the file `out`. Returns the exit code.

    Raises: UsageError for a format that it has not; FormatError; RunError if it cannot be written.
    """
    result = read_result(folder / kind.file, kind.result, kind.schema)
    if format == "json":
        document = (folder / kind.file).read_text(encoding="utf-8")
    elif format == "text":
        document = kind.render(result, folder=str(folder), width=width())
    else:
        document = _passed_on(result, format, folder)
    put(document, out)
    return kind.exit_code(result)


def _passed_on(result: msgspec.Struct, format: str, folder: Path) -> str:
    """What is made for others to read; the modules for it are imported only then. Raises: UsageError."""
    from inferometer.report import choice_markdown, choice_table, html, probe_markdown, probe_table

    name = folder.resolve().name
    match result, format:
        case Explanation(), "html":
            return explanation_page(result, folder)
        case Sweep(), "markdown":
            return probe_markdown.sweep(result)
        case Sweep(), "csv":
            return probe_table.sweep_csv(result)
        case Sweep(), _:
            return html.sweep(result, folder=name)
        case LimitSearch(), "markdown":
            return probe_markdown.limit(result)
        case LimitSearch(), "csv":
            return probe_table.limit_csv(result)
        case LimitSearch(), _:
            return html.limit(result, folder=name)
        case Choice(), "markdown":
            return choice_markdown.render(result)
        case Choice(), "csv":
            return choice_table.to_csv(result)
        case Choice(), _:
            return html.choice(result, folder=name)
        case _:
            formats = "text, json or html" if isinstance(result, Explanation) else "text or json"
            raise UsageError(f"an examination has no report as {format}", f"take --format {formats}")

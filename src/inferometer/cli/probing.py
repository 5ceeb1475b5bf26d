# SPDX-License-Identifier: Apache-2.0
"""What `sweep` and `limit` do: from flags to what is printed, and the exit code; and their reports from a folder."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferometer import config as configuration
from inferometer.analysis import curve
from inferometer.analysis import limit as limits
from inferometer.analysis.curve import Sweep
from inferometer.analysis.limit import LimitSearch
from inferometer.cli.live import make_observer
from inferometer.cli.options import Format
from inferometer.cli.outcome import width
from inferometer.config import Experiment
from inferometer.errors import Cancelled, GateFailed, InferometerError, RunError, UsageError
from inferometer.metrics.slo_presets import Objective
from inferometer.probes import limit as searching
from inferometer.probes import sweep as sweeping
from inferometer.probes.results import read_result

MIN_BUDGET_S = 60.0
# Parameters of a verb that are no fields of an experiment under their own names.
_NOT_FIELDS = ("context", "config", "format", "quiet", "for_", "set_", "no_stream", "no_content")


def resolve(given: Mapping[str, Any]) -> Experiment:
    """The experiment that all runs have in common. Raises: UsageError."""
    fields = {name: value for name, value in given.items() if name not in _NOT_FIELDS}
    fields["is_streamed"] = None if given["no_stream"] is None else not given["no_stream"]
    fields["keeps_content"] = None if given["no_content"] is None else not given["no_content"]
    config = configuration.resolve(fields, given["config"])
    if config.warmup is not None and config.warmup.n_requests:
        raise UsageError("--warmup of a probe is a time: runs of many loads are compared", "write --warmup 5s")
    if config.slo:
        from inferometer.metrics.slo import parse_limits

        parse_limits(config.slo)
    return config


def sweep(config: Experiment, ladder: sweeping.Ladder, format: Format, *, is_quiet: bool) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError before the first point."""
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder, result, stopped = sweeping.run(config, ladder, observer)
    finally:
        observer.close()
    if result.points:
        _print_sweep(folder, result, format.value)
    return _exit_code(stopped) or sweep_exit_code(result)


def limit(
    config: Experiment,
    objective: Objective,
    format: Format,
    *,
    is_closed: bool,
    budget_s: float | None,
    is_quiet: bool,
) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError before the first look."""
    budget_s = searching.BUDGET_S if budget_s is None else budget_s
    if not MIN_BUDGET_S <= budget_s <= configuration.MAX_FOR_S:
        raise UsageError(f"--budget {budget_s:g}s is no time for a search", "give 1m to 168h")
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        folder, result, stopped = searching.run(config, objective, observer, is_closed=is_closed, budget_s=budget_s)
    finally:
        observer.close()
    _print_limit(folder, result, format.value)
    return _exit_code(stopped) or limit_exit_code(result)


def limit_exit_code(result: LimitSearch) -> int:
    """5 if no load meets the limits, 4 if no limit could be told."""
    if result.limit.value is not None:
        return 0
    alone = result.alone_share.value
    return GateFailed.exit_code if alone is not None and alone < result.attainment else RunError.exit_code


def report_limit(folder: Path, format: str) -> int:
    """Print the report of a search's folder. Raises: FormatError."""
    result = read_result(folder / limits.FILE, LimitSearch, limits.SCHEMA)
    _print_limit(folder, result, format)
    return limit_exit_code(result)


def _print_limit(folder: Path, result: LimitSearch, format: str) -> None:
    from inferometer.report import limit as report

    if format == "json":
        sys.stdout.write((folder / limits.FILE).read_text(encoding="utf-8"))
    elif format == "text":
        sys.stdout.write(report.render(result, folder=str(folder), width=width()))
    else:
        raise UsageError(f"a limit search has no report as {format}", "take --format text or json")
    sys.stdout.flush()


def sweep_exit_code(result: Sweep) -> int:
    """4 if not one point can be used."""
    usable = [point for point in result.points if point.verdict != "invalid"]
    return 0 if usable else RunError.exit_code


def report_sweep(folder: Path, format: str) -> int:
    """Print the report of a sweep's folder. Raises: FormatError."""
    result = read_result(folder / curve.FILE, Sweep, curve.SCHEMA)
    _print_sweep(folder, result, format)
    return sweep_exit_code(result)


def _print_sweep(folder: Path, result: Sweep, format: str) -> None:
    from inferometer.report import sweep as report

    if format == "json":
        sys.stdout.write((folder / curve.FILE).read_text(encoding="utf-8"))
    elif format == "text":
        sys.stdout.write(report.render(result, folder=str(folder), width=width()))
    else:
        raise UsageError(f"a sweep has no report as {format}", "take --format text or json")
    sys.stdout.flush()


def _exit_code(stopped: InferometerError | None) -> int:
    """Say why it ended before its end."""
    if stopped is None:
        return 0
    if not isinstance(stopped, Cancelled):
        print(f"inferometer: {stopped}", file=sys.stderr)
        if stopped.remedy:
            print(f"  -> {stopped.remedy}", file=sys.stderr)
    return stopped.exit_code


REPORTS = {curve.FILE: report_sweep, limits.FILE: report_limit}  # by the file that a folder is known by

# SPDX-License-Identifier: Apache-2.0
"""From an experiment or a run folder to what is printed, and the exit code.

What only a report needs (metrics, statistics: half a second of imports) is imported when a run is over, so that its
first request does not wait for it.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING

from inferometer import experiment
from inferometer.cli.live import make_observer
from inferometer.cli.options import Format, wants_colour
from inferometer.config import Experiment
from inferometer.errors import Cancelled, EngineError, GateFailed, RunError
from inferometer.run_folder import REPORT, Run, write_atomically

if TYPE_CHECKING:
    from inferometer.metrics.summary import Summary

WIDTH = 100  # columns of a report where no terminal says otherwise
MAX_WIDTH = 120  # wider lines are hard to read; this is room for one more percentile


def measure(config: Experiment, format: Format, *, is_quiet: bool) -> int:
    """Carry the experiment out, print its report. Returns the exit code.

    Raises: UsageError, EngineError, RunError from the experiment.
    """
    _check_limits(config.slo)
    observer = make_observer(is_quiet=is_quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C; the measurement has its own way of both
    try:
        run = experiment.run(config, observer)
    finally:
        observer.close()
    return _print(run, format.value, config.slo, is_kept=True)


def report(run: Run, format: str, slo: str | None) -> int:
    """Print the report of a folder. Returns the exit code."""
    return _print(run, format, slo)


def print_dry_run(config: Experiment, format: Format) -> None:
    """Say what would be sent. Raises: UsageError for what could not be carried out."""
    from inferometer.cli.dry_run import estimate
    from inferometer.report import plan_text

    _check_limits(config.slo)
    plan = estimate(config)
    if format is Format.JSON:
        sys.stdout.write(plan_text.to_json(plan).decode())
    else:
        sys.stdout.write(plan_text.render(plan, width=width()))


def _check_limits(slo: str) -> None:
    """Raises: UsageError for limits that make no sense."""
    if slo:
        from inferometer.metrics.slo import parse_limits

        parse_limits(slo)


def _print(run: Run, format: str, slo: str | None, *, is_kept: bool = False) -> int:
    """`slo`: limits; None: those of the run."""
    from inferometer.metrics.slo import parse_limits
    from inferometer.metrics.summary import summarize
    from inferometer.report import json as json_report
    from inferometer.report import markdown, text

    trace = run.trace()
    summary = summarize(trace, None if slo is None else parse_limits(slo))
    document = json_report.to_json(summary)
    if is_kept:
        write_atomically(run.path / REPORT, document)
    if format == "json":
        sys.stdout.write(document.decode())
    elif format == "markdown":
        sys.stdout.write(markdown.render(summary))
    else:
        is_colour = wants_colour(sys.stdout)
        sys.stdout.write(text.render(summary, run_path=str(run.path), width=width(), is_colour=is_colour))
    sys.stdout.flush()
    return _exit_code(summary, run)


def width() -> int:
    """Columns of a report."""
    return min(MAX_WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)


def _last_words(run: Run) -> str:
    """What failed requests were told most often."""
    errors = [error for error in run.trace().requests["error"].tolist() if error]
    return Counter(errors).most_common(1)[0][0] if errors else ""


def _exit_code(summary: Summary, run: Run) -> int:
    """Being stopped weighs more than what was measured until then, an invalid run more than its limits."""
    manifest = run.manifest()
    if manifest.get("is_interrupted"):
        return Cancelled.exit_code
    if manifest.get("stop_reason"):
        print(f"inferometer: the run ended early: {manifest['stop_reason']}", file=sys.stderr)
        if words := _last_words(run):
            print(f"  most often: {words}", file=sys.stderr)
        for line in manifest.get("engine_last_lines", []):
            print(f"  engine: {line}", file=sys.stderr)
        return RunError.exit_code if manifest.get("is_own_fault") else EngineError.exit_code
    if summary.verdict.level == "invalid":
        return RunError.exit_code
    return GateFailed.exit_code if summary.limits.is_failed else 0

# SPDX-License-Identifier: Apache-2.0
"""From an experiment or a run folder to what is printed, and the exit code.

What only a report needs (metrics, statistics: half a second of imports) is imported when a run is over, so that its
first request does not wait for it.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING

from inferometer import experiment
from inferometer.cli.live import make_observer
from inferometer.cli.options import Format, wants_colour, width
from inferometer.cli.output import keep_report, put
from inferometer.config import Experiment
from inferometer.errors import Cancelled, EngineError, GateFailed, RunError, UsageError
from inferometer.run_folder import Run

if TYPE_CHECKING:
    from inferometer.metrics.slo import Limits
    from inferometer.metrics.summary import Summary
    from inferometer.records import Trace


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


def report(run: Run, format: str, slo: str | None, out: str | None) -> int:
    """Print the report of a folder, or write it to the file `out`. Returns the exit code.

    Raises: RunError if it cannot be written.
    """
    return _print(run, format, slo, out=out)


def report_as(run: Run, key: str, format: str, out: str | None) -> None:
    """The same by another tool's definitions. Raises: UsageError for a tool or a format that it has not; RunError."""
    from inferometer.metrics import elsewhere
    from inferometer.report import elsewhere as page

    tools = {tool.key: tool for tool in elsewhere.TOOLS if tool.prints}
    if key not in tools:
        raise UsageError(f"--as {key!r} is not known", f"choose from {', '.join(tools)}")
    if format in ("html", "csv"):
        raise UsageError(f"--as has no --format {format}", "choose from text, json, markdown")
    found = elsewhere.report_as(tools[key], run.trace())
    if format == "json":
        put(page.to_json(found).decode(), out)
    else:
        put(page.to_markdown(found) if format == "markdown" else page.render(found, width=width()), out)


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


def _print(run: Run, format: str, slo: str | None, *, out: str | None = None, is_kept: bool = False) -> int:
    """`slo`: limits; None: those of the run. `is_kept`: the JSON goes into the run's folder as well."""
    from inferometer.metrics.slo import limits_of, parse_limits
    from inferometer.metrics.summary import summarize
    from inferometer.metrics.tokens import indexed

    trace = indexed(run.trace(is_whole=False))
    limits = limits_of(trace) if slo is None else parse_limits(slo)
    summary = summarize(trace, limits)
    if is_kept:
        keep_report(run, summary)
    document = _document(run, format, trace, limits, summary, is_colour=out is None and wants_colour(sys.stdout))
    put(document, out)
    return _exit_code(summary, run)


def _document(run: Run, format: str, trace: Trace, limits: Limits, summary: Summary, *, is_colour: bool) -> str:
    from inferometer.report import json, markdown, table, text

    match format:
        case "json":
            return json.to_json(summary).decode()
        case "markdown":
            return markdown.render(summary)
        case "csv":
            return table.to_csv(summary)
        case "html":
            return _page(run, trace, limits, summary)
        case _:
            return text.render(summary, run_path=str(run.path), width=width(), is_colour=is_colour)


def _page(run: Run, trace: Trace, limits: Limits, summary: Summary) -> str:
    from inferometer.metrics.shapes import shapes_of
    from inferometer.report import html

    return html.render(summary, shapes_of(trace, limits), trace.meta, run_name=run.path.resolve().name)


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

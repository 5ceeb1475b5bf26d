# SPDX-License-Identifier: Apache-2.0
"""What `--dry-run` of a sweep or a limit search says: which loads, for how long, how many requests; text and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import msgspec

from inferometer.report.layout import filled, wrapped
from inferometer.units import format_span

SCHEMA = "inferometer/probe-dry-run/1"
INDENT = 10


@dataclass(frozen=True, slots=True)
class ProbeDryRun:
    """A probe that did not happen. `loads`: empty where they are found on the way, which `law` then describes;
    `n_runs`: at most, None: as many as it takes; `least_s`, `longest_s`: the latter if every request takes its
    deadline; `n_requests`: at least so many, None: the server decides; `slo`: limits, "" if there are none."""

    probe: str
    target: str
    model: str
    api: str
    loads: tuple[float, ...]
    law: str
    n_runs: int | None
    least_s: float
    longest_s: float
    n_requests: int | None
    slo: str
    input_tokens: str
    output_tokens: str
    shared_prefix: int
    timeout_s: float
    out: str
    notes: tuple[str, ...] = ()


def render(plan: ProbeDryRun, *, width: int = 100) -> str:
    """About ten lines; the first says that nothing was sent."""
    lines = ["DRY RUN  nothing was sent", ""]
    for label, text in _rows(plan):
        lines += filled(label, text.split("; "), width=width, indent=INDENT)
    for note in plan.notes:
        lines += wrapped("note", note, width=width, indent=INDENT)
    return "\n".join(lines) + "\n"


def to_json(plan: ProbeDryRun) -> bytes:
    """The fields of `ProbeDryRun` under their names, with "schema" in front."""
    return msgspec.json.format(msgspec.json.encode({"schema": SCHEMA, **asdict(plan)}), indent=2) + b"\n"


def _rows(plan: ProbeDryRun) -> list[tuple[str, str]]:
    prefix = f", of which the first {plan.shared_prefix:,} shared by all" if plan.shared_prefix else ""
    requests = "as many as the server answers" if plan.n_requests is None else f"about {plan.n_requests:,} at least"
    rows = [
        ("target", f"{plan.target}, API: {plan.api}" + (f", model {plan.model}" if plan.model else "")),
        ("loads", _loads(plan)),
        ("limits", plan.slo),
        ("requests", requests),
        ("input", f"{plan.input_tokens} tokens{prefix}"),
        ("output", f"{plan.output_tokens} tokens"),
        ("lasts", _lasting(plan)),
        ("out", plan.out),
    ]
    return [(label, text) for label, text in rows if text]


def _loads(plan: ProbeDryRun) -> str:
    if not plan.loads:
        return plan.law
    again = ", one run each, then the first again" if len(plan.loads) > 1 else ""
    return f"{', '.join(f'{load:g}' for load in plan.loads)} {plan.law}{again}"


def _lasting(plan: ProbeDryRun) -> str:
    runs = "" if plan.n_runs is None else f"{plan.n_runs} runs; {format_span(plan.least_s)} at least; "
    worst = f"{format_span(plan.longest_s)} if every request took its deadline of {format_span(plan.timeout_s)}"
    return f"{runs}{worst}; the start of an engine comes on top"

# SPDX-License-Identifier: Apache-2.0
"""What `--dry-run` says: what would be sent, for how long, with how much memory and disk; as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import msgspec

from inferometer.report.layout import wrapped
from inferometer.units import format_bytes, format_span

SCHEMA = "inferometer/dry-run/1"
INDENT = 10


@dataclass(frozen=True, slots=True)
class DryRun:
    """A run that did not happen. None or "": not known before the run, or not limited.

    `law`: arrivals for people ("closed loop, 8 in flight"); `n_requests`, `duration_s` and `warmup` are per trial;
    `warmup` as given ("10", "10s"); `longest_s`: upper bound for all trials, every request at its deadline;
    `memory_bytes`: of this client, at its peak.
    """

    target: str
    model: str
    api: str
    law: str
    n_trials: int
    n_requests: int | None
    duration_s: float | None
    warmup: str
    expected_s: float | None
    longest_s: float | None
    input_tokens: str
    output_tokens: str
    shared_prefix: int
    is_streamed: bool
    timeout_s: float
    stall_timeout_s: float
    seed: int
    memory_bytes: float | None
    disk_bytes: float | None
    out: str
    notes: tuple[str, ...] = ()


def render(plan: DryRun, *, width: int = 100) -> str:
    """About ten lines; the first says that nothing was sent."""
    lines = ["DRY RUN  nothing was sent", ""]
    for label, text in _rows(plan):
        lines += wrapped(label, text, width=width, indent=INDENT)
    for note in plan.notes:
        lines += wrapped("note", note, width=width, indent=INDENT)
    return "\n".join(lines) + "\n"


def to_json(plan: DryRun) -> bytes:
    """The fields of `DryRun` under their names, with "schema" in front."""
    return msgspec.json.format(msgspec.json.encode({"schema": SCHEMA, **asdict(plan)}), indent=2) + b"\n"


def _rows(plan: DryRun) -> list[tuple[str, str]]:
    prefix = f", of which the first {plan.shared_prefix:,} shared by all" if plan.shared_prefix else ""
    streamed = "streamed" if plan.is_streamed else "not streamed"
    memory = "not known" if plan.memory_bytes is None else f"about {format_bytes(plan.memory_bytes)} for this client"
    disk = "not known," if plan.disk_bytes is None else f"about {format_bytes(plan.disk_bytes)}"
    return [
        ("target", f"{plan.target}, API: {plan.api}" + (f", model {plan.model}" if plan.model else "")),
        ("sends", f"{plan.law}; {_amount(plan)}"),
        ("input", f"{plan.input_tokens} tokens{prefix}"),
        ("output", f"{plan.output_tokens} tokens, {streamed}"),
        ("lasts", _lasting(plan)),
        ("memory", memory),
        ("disk", f"{disk} in {plan.out}"),
        ("plan", f"seed {plan.seed}"),
    ]


def _amount(plan: DryRun) -> str:
    requests = "as many requests as fit" if plan.n_requests is None else f"{plan.n_requests:,} requests"
    window = "" if plan.duration_s is None else f" in {format_span(plan.duration_s)}"
    trials = f", {plan.n_trials} times" if plan.n_trials > 1 else ""
    warmup = f", after a warm-up of {_warmup(plan.warmup)}" if plan.warmup not in ("", "0") else ""
    return requests + window + trials + warmup


def _warmup(spec: str) -> str:
    return f"{spec} requests" if spec.isdecimal() else spec


def _lasting(plan: DryRun) -> str:
    expected = "as long as the server takes" if plan.expected_s is None else f"about {format_span(plan.expected_s)}"
    longest = "" if plan.longest_s is None else f", {format_span(plan.longest_s)} at most"
    limits = f"deadline {format_span(plan.timeout_s)} a request, {format_span(plan.stall_timeout_s)} of silence"
    return f"{expected}{longest}; {limits}"

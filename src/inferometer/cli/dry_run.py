# SPDX-License-Identifier: Apache-2.0
"""What a run would do, without asking or starting anything."""

from __future__ import annotations

import math

from inferometer import experiment
from inferometer.config import Experiment, Warmup
from inferometer.experiment.starting import Start
from inferometer.probes.outlook import Outlook
from inferometer.report.plan_text import DryRun
from inferometer.report.probe_plan import ProbeDryRun
from inferometer.run_folder import DEFAULT_PARENT
from inferometer.secrecy import redact_argv, redact_url
from inferometer.units import format_bytes

# Measured on runs of the embedded engine: imports and tables, and what a request and a stream event leave behind.
CLIENT_BYTES = 130e6
BYTES_PER_PROMPT_TOKEN = 12  # text and encoded body
BYTES_PER_REQUEST = 4_000
BYTES_PER_EVENT_ON_DISK = 330


def estimate(config: Experiment) -> DryRun:
    """Raises: UsageError for what could not be carried out."""
    start = experiment.check(config, is_dry=True)
    shape, schedule = experiment.shape_of(config), experiment.schedule_of(config)
    facts = schedule.facts()
    n_planned = facts["n_planned"]
    n_events = shape.outputs.mean + 3 if config.is_streamed else 1
    prompt_bytes = BYTES_PER_PROMPT_TOKEN * shape.inputs.mean
    on_disk = n_events * BYTES_PER_EVENT_ON_DISK + prompt_bytes
    notes = []
    if n_planned is None:
        notes.append(
            f"how many requests fit into the time depends on the server: memory is for the most prompts that are made "
            f"({experiment.MAX_POOL:,}), disk grows by {format_bytes(on_disk)} a request"
        )
    if start is not None:
        notes += [f"not now: {obstacle}" for obstacle in start.obstacles]
    memory = CLIENT_BYTES + (n_planned or experiment.MAX_POOL) * (BYTES_PER_REQUEST + prompt_bytes)
    disk = None if n_planned is None else n_planned * on_disk
    warmup = config.warmup or Warmup()
    timed_s = None if facts["duration_s"] is None else facts["duration_s"] + warmup.duration_s
    if timed_s is None and schedule.mode == "open":
        timed_s = (n_planned or 0) / len(schedule.trials) / (config.rate or 1)
    return DryRun(
        target=_target(config, start),
        model=config.model or "",
        api=config.api or "chat (or completions)",
        law=schedule.law,
        n_trials=config.repeats,
        n_requests=facts["n_requests"],
        duration_s=facts["duration_s"],
        warmup=f"{warmup.duration_s:g}s" if warmup.duration_s else str(warmup.n_requests),
        expected_s=None if timed_s is None else config.repeats * timed_s,
        longest_s=_longest_s(config, timed_s, n_planned),
        input_tokens=config.input_tokens,
        output_tokens=config.output_tokens,
        shared_prefix=config.shared_prefix,
        is_streamed=config.is_streamed,
        timeout_s=config.timeout_s,
        stall_timeout_s=config.stall_timeout_s,
        seed=config.seed or 0,
        memory_bytes=memory,
        disk_bytes=disk,
        out=config.out or f"a new folder under ./{DEFAULT_PARENT}",
        notes=tuple(notes),
    )


def _longest_s(config: Experiment, timed_s: float | None, n_planned: int | None) -> float | None:
    """Every request at its deadline."""
    if timed_s is not None:
        return config.repeats * (timed_s + config.timeout_s)
    n_slots = config.concurrency or n_planned or 1
    return math.ceil((n_planned or 0) / n_slots) * config.timeout_s


def _target(config: Experiment, start: Start | None) -> str:
    if start is not None:
        return f"{start.engine.title}, started by: " + " ".join(redact_argv(start.order.words))
    if config.is_embedded:
        return "the embedded engine (llama.cpp with a small model of its own)"
    if config.command:
        return "a server started by: " + " ".join(redact_argv(list(config.command)))
    return redact_url(config.url or "")


def probe_estimate(config: Experiment, outlook: Outlook, *, probe: str, slo: str) -> ProbeDryRun:
    """Of a sweep or a limit search. Raises: UsageError for what could not be carried out."""
    start = experiment.check(config, is_dry=True)
    obstacles = [f"not now: {obstacle}" for obstacle in start.obstacles] if start is not None else []
    return ProbeDryRun(
        probe=probe,
        target=_target(config, start),
        model=config.model or "",
        api=config.api or "chat (or completions)",
        loads=outlook.loads,
        law=outlook.law,
        n_runs=outlook.n_runs,
        least_s=outlook.least_s,
        longest_s=outlook.longest_s,
        n_requests=outlook.n_requests,
        slo=slo,
        input_tokens=config.input_tokens,
        output_tokens=config.output_tokens,
        shared_prefix=config.shared_prefix,
        timeout_s=config.timeout_s,
        out=config.out or f"a new folder under ./{DEFAULT_PARENT}",
        notes=(*outlook.notes, *obstacles),
    )

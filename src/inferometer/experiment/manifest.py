# SPDX-License-Identifier: Apache-2.0
"""What the manifest of a run says, as it becomes known: before the server was asked, before and after the measurement.

Rule: no value of a header and no key is ever in it.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from inferometer import embedded
from inferometer.clock import utc_now
from inferometer.config import Experiment, describe
from inferometer.experiment.sending import headers_of
from inferometer.experiment.subject import Subject
from inferometer.host import environment
from inferometer.host.ask import ServerFacts
from inferometer.host.revision import git_revision
from inferometer.measurement import Measured
from inferometer.plan.plan import Plan
from inferometer.records import SCHEMA_VERSION
from inferometer.run_folder import STATE_FINISHED, STATE_STOPPED


def begun(config: Experiment) -> dict[str, Any]:
    """What is known before the server is asked."""
    return {
        "schema": SCHEMA_VERSION,
        "created": utc_now().isoformat(timespec="seconds"),
        "label": config.label,
        "revision": git_revision() if config.label else "",  # of no use without, and it starts a program
        "config": describe(config),
        "host": environment.host_facts(),
        "versions": environment.versions(),
        "stop_reason": "",
        "is_cut_off": False,
    }


def known(config: Experiment, plan: Plan, facts: ServerFacts, subject: Subject, n_workers: int) -> dict[str, Any]:
    """What is known before the measurement begins."""
    server = subject.server
    return {
        "dialect": facts.api,
        "plan": plan.schedule.facts()
        | {
            "digest": plan.digest,
            "seed": plan.seed,
            "lengths_from": plan.lengths_from,
            "notes": list(plan.notes),
            "is_streamed": config.is_streamed,
            "input_tokens": config.input_tokens,
            "output_tokens": config.output_tokens,
            "shared_prefix": config.shared_prefix,
            "timeout_s": config.timeout_s,
            "stall_timeout_s": config.stall_timeout_s,
            "is_length_forced": facts.is_length_forced,
            "counts_outputs_by": facts.counts_outputs_by,
            "n_template_tokens": facts.n_template_tokens,
            "n_pool": len(plan.requests),
            "slo": config.slo,
        },
        "engine": {
            "name": facts.engine,
            "title": facts.title,
            "version": _version(config, facts, subject),
            "model": facts.model,
            "url": facts.url,
            "api": facts.api,
            "context_tokens": facts.context_tokens,
            "evidence": list(facts.evidence),
            "notes": [*facts.notes, *_surprise(facts, subject)],
            "argv": server.argv if server is not None else [],
            "ready_s": server.ready_s if server is not None else None,
            "is_embedded": config.is_embedded,
        }
        | (subject.start.facts() if subject.start is not None else {}),
        "wire": {
            "url": facts.url,
            "model": facts.model,
            "extras": dict(facts.extras),
            "headers": headers_of(facts.url, [(name, "") for name, _ in config.headers()]),
            "key_name": config.api_key_env or "API_KEY",
            "is_insecure": config.insecure,
            "keeps_content": config.keeps_content,
        },
        "client": {
            "core": subject.client_cores[0] if subject.client_cores else None,
            "cores": list(subject.client_cores),
            "n_workers": n_workers,
            "pid": os.getpid(),
        },
    }


def _version(config: Experiment, facts: ServerFacts, subject: Subject) -> str:
    """What the program says where we started it: the server inside a package may not know its own build."""
    if config.is_embedded:
        return embedded.engine_version()
    return (subject.start.version if subject.start is not None else "") or facts.version


def _surprise(facts: ServerFacts, subject: Subject) -> list[str]:
    """What was started under a name may answer as something else."""
    if subject.start is None or subject.start.engine.name == facts.engine:
        return []
    return [f"it was started as {subject.start.engine.title}, and answers as {facts.title}"]


def ended(measured: Measured, manifest: dict[str, Any], subject: Subject) -> dict[str, Any]:
    server = subject.server
    keeps_content = manifest["wire"]["keeps_content"]
    died = "" if server is None or server.is_running else f" (the engine ended with exit code {server.exit_code})"
    return {
        "state": STATE_STOPPED if measured.stop_reason else STATE_FINISHED,
        "stop_reason": measured.stop_reason + died,
        "is_interrupted": measured.is_interrupted,
        "is_own_fault": measured.is_own_fault,
        "engine_last_lines": server.last_lines() if server is not None and died and keeps_content else [],
        "engine": manifest["engine"]
        | {"peak_memory_bytes": server.peak_memory_bytes() if server is not None else None},
        "windows": [asdict(window) for window in measured.windows],
        "stamps": measured.stamps,
        "clock": manifest["clock"]
        | {
            "n_steps": measured.n_clock_steps,
            "max_bracket_ns": max(measured.clock_start.width_ns, measured.clock_end.width_ns),
            "start": asdict(measured.clock_start),
            "end": asdict(measured.clock_end),
        },
    }

# SPDX-License-Identifier: Apache-2.0
"""What a run says of an emulated engine, held against what that engine knows: everything that does not agree."""

from __future__ import annotations

import numpy as np

from inferometer.emulate import tokens
from inferometer.kinds import TOKEN_BEARING, Outcome, Phase
from inferometer.metrics import METRICS
from inferometer.records import Trace
from inferometer.run_folder import Run
from inferometer.truth.log import TruthLog, compare

NS_PER_MS = 1_000_000
# Of medians, between two processes on one machine: kernel stamps do not wait for a client that is busy.
BUDGET_MS = 1.0


def faults(run: Run, log: TruthLog, *, engine: str, is_exact: bool) -> list[str]:
    """`is_exact`: the engine can be made to give the length asked for. Empty: all agrees."""
    trace = run.trace()
    log = log.of_run(run.manifest()["nonce"])
    return [
        *_identity(run, engine),
        *_outcomes(trace),
        *_counts(run, trace, log, is_exact=is_exact),
        *_instants(trace, log),
    ]


def _identity(run: Run, engine: str) -> list[str]:
    told = run.manifest()["engine"]["name"]
    return [] if told == engine else [f"engine: {told} instead of {engine}"]


def _main(trace: Trace):
    return trace.requests[trace.requests["phase"] == Phase.MAIN]


def _outcomes(trace: Trace) -> list[str]:
    bad = [Outcome(int(outcome)).name for outcome in _main(trace)["outcome"] if outcome != Outcome.OK]
    return [f"outcomes: {sorted(set(bad))}"] if bad else []


def _counts(run: Run, trace: Trace, log: TruthLog, *, is_exact: bool) -> list[str]:
    found = []
    prompts = {request.id: request.prompt for request in run.plan().requests}
    is_chat = "chat" in run.manifest()["engine"]["api"]
    row_of = {int(request): row for row, request in enumerate(log.requests["id"])}
    for request in _main(trace):
        n_true = int(log.steps_of(row_of[int(request["id"])])["n_tokens"].sum())
        if request["n_output_tokens"] not in (n_true, -1):
            found.append(f"output tokens: {request['n_output_tokens']} instead of {n_true}")
        if is_exact and request["n_output_tokens_asked"] != n_true:
            found.append(f"length: {n_true} where {request['n_output_tokens_asked']} were asked for")
        n_prompt = prompt_tokens(prompts[int(request["id"])], is_chat=is_chat)
        if request["n_prompt_tokens"] not in (n_prompt, -1):
            found.append(f"prompt tokens: {request['n_prompt_tokens']} instead of {n_prompt}")
    return found


def prompt_tokens(prompt, *, is_chat: bool) -> int:
    if not isinstance(prompt, str):
        return len(prompt)
    return tokens.count(tokens.chat_text([("user", prompt)]) if is_chat else prompt)


def _instants(trace: Trace, log: TruthLog) -> list[str]:
    errors = compare(trace, log)
    found = []
    if errors.n_unknown or errors.n_lost or errors.n_extra:
        found.append(f"chunks: {errors.n_lost} lost, {errors.n_extra} made up, {errors.n_unknown} requests unknown")
    measured = {"ttft": errors.ttft_ns, "gap": errors.gap_ns, "e2e": errors.e2e_ns, "tpot": tpot_errors_ns(trace, log)}
    for name, error_ns in measured.items():
        error_ms = float(np.median(np.abs(error_ns))) / NS_PER_MS if len(error_ns) else np.inf
        if not error_ms < BUDGET_MS:
            found.append(f"{name}: off by {error_ms:.3f} ms")
    return found


def tpot_errors_ns(trace: Trace, log: TruthLog):
    """Measured minus true, of the requests for which both are defined."""
    row_of = {int(request): row for row, request in enumerate(log.requests["id"])}
    measured = METRICS["tpot_s"].fn(trace)
    errors = []
    for request, tpot_s in zip(trace.requests, measured, strict=True):
        steps = log.steps_of(row_of[int(request["id"])])
        n_tokens = int(steps["n_tokens"].sum())
        bearing = steps[np.isin(steps["kind"], TOKEN_BEARING)]
        if request["phase"] == Phase.MAIN and n_tokens > 1 and not np.isnan(tpot_s):
            true_ns = (bearing["t_before_ns"][-1] - bearing["t_before_ns"][0]) / (n_tokens - 1)
            errors.append(tpot_s * 1e9 - true_ns)
    return np.array(errors)

# SPDX-License-Identifier: Apache-2.0
"""From the runs of a latency examination to what they say: law, parts, stalls, a slower machine, findings, the row.

Pure: the same whether a server was asked or an emulated engine was driven in virtual time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from inferometer.analysis import latency, slowdown
from inferometer.analysis.finding import Row, worst_first
from inferometer.analysis.iteration_model import Fitted, Load, fit_model
from inferometer.analysis.latency import LatencyExamination, LoadRow
from inferometer.analysis.latency_findings import Relief, Standing, findings_of, is_unheard
from inferometer.analysis.latency_parts import Alone, Split, http_alone_s, split_tpot, split_ttft
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.slowdown import Slowdown
from inferometer.analysis.stalls import HoldUp, Stalls, find_stalls, hold_up
from inferometer.analysis.waiting import waiting
from inferometer.metrics.company import prompt_tokens
from inferometer.metrics.latency import e2e
from inferometer.metrics.rows import in_due_order, is_counted, is_failed, is_ok, told
from inferometer.records import Trace
from inferometer.stats import Estimate, FloatArray, Missing, effective_n_of_quantiles, quantile_estimate
from inferometer.units import NS_PER_S

ALONE = "alone"


def again(name: str, i: int = 1) -> str:
    """Of the i-th repeat of a load; 0: of its first run."""
    return name if i == 0 else f"{name}, again" + (f" ({i})" if i > 1 else "")


def first(name: str) -> str:
    """Of the run of the same load that was the first."""
    return name.partition(", again")[0]


def in_flight(n: int) -> str:
    return f"{n} in flight"


@dataclass(frozen=True, slots=True)
class Measured:
    """A run of the examination, with all columns of its requests. `begun_s`: when, of the examination. `inputs`:
    lengths of its prompts, "": those that are explained."""

    name: str
    concurrency: int
    begun_s: float
    folder: str
    trace: Trace
    inputs: str = ""


def examined(
    runs: Sequence[Measured],
    *,
    concurrency: int,
    n_slots: int | None,
    connect_s: FloatArray,
    relief: Relief,
    not_measured: Sequence[str] = (),
) -> LatencyExamination:
    """`connect_s`: of connections opened alone. At least one run."""
    missing = list(not_measured)
    model, slower = _modelled(runs)
    if isinstance(model, Missing):
        missing.append(f"parts of latencies and the law of iterations: {model.reason}")
    fitted = model if isinstance(model, Fitted) else None
    alone = [run.trace for run in runs if run.concurrency == 1]
    connect = quantile_estimate(np.sort(connect_s), 0.5, unit="s", of="connections")
    http_s = http_alone_s(alone, fitted) if fitted is not None else math.nan
    outside = Alone(http_s, connect.value if isinstance(connect, Estimate) else math.nan)
    traces: dict[str, list[Trace]] = {}
    for run in runs:
        traces.setdefault(first(run.name), []).append(run.trace)
    usually = {name: number_of(usual_e2e(*each)) for name, each in traces.items()}
    loads = [_load_row(run, fitted, outside, n_slots, usually[first(run.name)]) for run in runs]
    by_name = {load.name: load for load in loads}
    usual = by_name.get(ALONE)
    operating = by_name.get(in_flight(concurrency), usual)
    # What only more at a time than are explained brings is nothing that is wrong with these.
    within = [run for run in runs if run.concurrency <= concurrency]
    stalls = find_stalls([run.trace for run in within], [_slower(run, slower) for run in within])
    held_up = hold_up([run.trace for run in within if run.concurrency > 1])
    if isinstance(held_up, Missing):
        missing.append(f"how long a prompt holds up others: {held_up.reason}")
    known = held_up if isinstance(held_up, HoldUp) else None
    shares = []
    if operating is not None:
        shares = latency.shares_of(operating, is_unheard=is_unheard(operating, usual))
    found = findings_of(operating, usual, _standing(within, by_name, slower, stalls), known, slower, relief)
    nothing = number_of(Missing("nothing was answered", 0, "s"))
    row = Row("latency", "", nothing, None, worst_first(found), missing)
    return LatencyExamination(
        row=latency.row_of(operating, usual, row),
        loads=loads,
        operating=operating.name if operating is not None else "",
        alone=usual.name if usual is not None else "",
        model=fitted.told if fitted is not None else None,
        http_s=http_s if math.isfinite(http_s) else None,
        connect=number_of(connect),
        shares=shares,
        resource="throttling" if slower is not None and slower.is_told else shares[0].resource if shares else "",
        stalls=stalls,
        held_up=known,
        slowdown=slower,
    )


def usual_e2e(*traces: Trace) -> Estimate | Missing:
    """The median over the counted successes of runs of one load: it has an interval where a mean of so few, or such
    dependent ones, has none."""
    each = [np.zeros(0)]
    for trace in traces:
        order = in_due_order(trace.requests)
        values = np.asarray(e2e(trace))[order][(is_counted(trace.requests) & is_ok(trace.requests))[order]]
        each.append(values[np.isfinite(values)])
    values = np.concatenate(each)
    ordered = np.sort(values)
    n_eff = effective_n_of_quantiles(values, ordered, [0.5])[0] if len(values) else None
    return quantile_estimate(ordered, 0.5, unit="s", n_eff=n_eff, of="requests")


def _modelled(runs: Sequence[Measured]) -> tuple[Fitted | Missing, Slowdown | None]:
    """The law, and whether the machine became slower; then the law is of the time before."""
    loads = [Load.of(run.name, run.trace, load=first(run.name)) for run in runs]
    model = fit_model(loads)
    if isinstance(model, Missing):
        return model, None
    longest = max(range(len(runs)), key=lambda i: len(loads[i].spans.rows) if runs[i].concurrency > 1 else -1)
    tests = [slowdown.within(loads[longest], model, runs[longest].begun_s)]
    alone = [load for load in loads if load.load == ALONE]
    if len(alone) > 1:
        tests.append(slowdown.again(alone[0], alone[-1], model))
    found = [test for test in tests if isinstance(test, Slowdown)]
    told = [test for test in found if test.is_told]
    if not told:
        return model, found[-1] if found else None
    slower = told[0]
    if slower.at_s is None:
        began = [(run.begun_s, load) for run, load in zip(runs, loads, strict=True)]
        slower = Slowdown(slower.factor, slowdown.since_when_s(began, model), slower.shown_by)
    if slower.at_s is None:
        return model, slower
    before = [load.until(round((slower.at_s - run.begun_s) * NS_PER_S)) for run, load in zip(runs, loads, strict=True)]
    refitted = fit_model(before)
    return (refitted if isinstance(refitted, Fitted) else model), slower


def _slower(run: Measured, slower: Slowdown | None) -> float:
    """By which factor the machine was slower in a run, or became so before its end."""
    requests = run.trace.requests
    lasts_s = (requests["t_end_ns"].max() - requests["t_due_ns"].min()) / NS_PER_S if len(requests) else 0.0
    if slower is None or not slower.is_told or slower.at_s is None or run.begun_s + lasts_s < slower.at_s:
        return 1.0
    return slower.factor.value or 1.0


def _standing(
    runs: Sequence[Measured], loads: Mapping[str, LoadRow], slower: Slowdown | None, stalls: Stalls
) -> list[Standing]:
    """Stalls at the lengths that are explained, and those with others: who never sends such prompts has none of these.

    Even distances are told best from all runs together, whatever they sent.
    """
    together = [i for i, run in enumerate(runs) if run.inputs and run.concurrency > 1]
    explained = [i for i, run in enumerate(runs) if not run.inputs]
    standing = []
    for mine in (explained, together):
        if not mine:
            continue
        each = [find_stalls([runs[i].trace], [_slower(runs[i], slower)]) for i in mine]
        found = find_stalls([runs[i].trace for i in mine], [_slower(runs[i], slower) for i in mine])
        if not found.cause and stalls.cause == "period":
            found = structs.replace(found, cause="period", period_s=stalls.period_s)
        most = max(range(len(mine)), key=lambda j: each[j].lost)
        standing.append(Standing(found, loads[runs[mine[most]].name], is_explained=mine is explained))
    return standing


def _load_row(run: Measured, model: Fitted | None, outside: Alone, n_slots: int | None, usually: Number) -> LoadRow:
    requests = run.trace.requests
    counted = requests[is_counted(requests) & is_ok(requests)]
    ttft: Split | Missing | None = None
    tpot: Split | Missing | None = None
    if model is not None:
        ttft, tpot = split_ttft(run.name, run.trace, model, outside), split_tpot(run.name, run.trace, model)
    n_output = told(counted, "n_output_tokens")
    return LoadRow(
        name=run.name,
        folder=run.folder,
        concurrency=run.concurrency,
        n_prompt=float(prompt_tokens(counted).mean()) if len(counted) else 0.0,
        n_output=float(np.nanmean(n_output)) if np.isfinite(n_output).any() else 0.0,
        begun_s=run.begun_s,
        n_ok=len(counted),
        n_failed=int((is_counted(requests) & is_failed(requests)).sum()),
        e2e=usually,
        ttft=ttft if isinstance(ttft, Split) else None,
        tpot=tpot if isinstance(tpot, Split) else None,
        waiting=waiting(run.trace, n_slots, outside.http_s),
        inputs=run.inputs,
        n_longest=float(prompt_tokens(counted).max(initial=0.0)),
    )

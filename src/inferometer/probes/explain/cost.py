# SPDX-License-Identifier: Apache-2.0
"""`explain cost` of a running engine: shares of its ceilings for prefill and decoding apart, energy, and the price.

ceilings  measured on the cores or the GPU that the engine uses, before any load; data sheet, if the device is known
prefill   first tokens of short and of long prompts, one at a time: what a further prompt token takes
decode    one stream alone, then many together, with the lengths of the workload
price     at the highest rate within the limits, if there are any; else at that of many together
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from inferometer.analysis.cost import (
    UNCOUNTED,
    Ceiling,
    CostExamination,
    Phase,
    Priced,
    Used,
    load_within,
    price,
    share_of,
    with_shares,
)
from inferometer.analysis.cost_findings import ALONE, PREFILL, TOGETHER, findings_of, row_of
from inferometer.analysis.cost_steps import new_prompt_tokens, prompt_tokens_in_a_step, share_of_prompts
from inferometer.analysis.energy import energy
from inferometer.analysis.memory_findings import no_number
from inferometer.analysis.number import Number, number_of
from inferometer.clock import utc_now
from inferometer.experiment.subject import engine_pids
from inferometer.host import ceilings, hardware
from inferometer.host.ceilings import NoCeilings
from inferometer.host.description import Description
from inferometer.host.idle_power import idle_power_w
from inferometer.metrics.registry import METRICS
from inferometer.metrics.rows import in_due_order, is_counted, is_ok, told
from inferometer.metrics.slo_presets import Objective
from inferometer.metrics.summary import Summary, summarize
from inferometer.model.cost import weights_of
from inferometer.model.devices import Device
from inferometer.model.formats import KV_FORMATS, WEIGHT_FORMATS
from inferometer.model.roofline import Served
from inferometer.probes import limit as limits
from inferometer.probes.bench import Bench
from inferometer.probes.explain import cost_phases as phases
from inferometer.probes.explain.cost_ceilings import each_of, of_card, of_rates, of_sheet
from inferometer.probes.explain.described import Described, answers_of, described
from inferometer.probes.points import carried_out
from inferometer.records import Trace
from inferometer.stats import Estimate, FloatArray, Missing, difference, exact, mean_estimate, product, ratio_estimate

BUDGET_S, SEARCH_BUDGET_S = 180.0, 600.0  # the second where the load within limits is to be found, too
STARTED = 8  # requests together, where nobody says how many
SHORT_TOKENS, LONG_TOKENS = 32, 1024  # of prompts, for what a further token takes
_PROBE_OUTPUT = "4"
_PREFILL_SHARE, _ALONE_SHARE, _TOGETHER_SHARE = 0.04, 0.06, 0.12  # of the budget: windows of the runs
FEW = 10  # answers: fewer are no series of batches, and are taken as independent
_LEAST_S, _TOGETHER_LEAST_S, _WARMUP_S = 3.0, 12.0, 1.0  # a sensor of energy wants ten seconds
_SEARCH_LEAST_S = 30.0
_NOT_RUN = "the load was not carried out"


@dataclass(frozen=True, slots=True)
class CostWish:
    """`device`: of the table; `n_devices`: that share the model, as a person says; `price_per_hour`: of all that the
    engine runs on; `api`: dollars per million input and output tokens; `objective`: limits, for the load priced."""

    description: Description | None = None
    device: Device | None = None
    n_devices: int | None = None
    kv_format: str | None = None
    concurrency: int | None = None
    price_per_hour: float | None = None
    api: tuple[float, float] | None = None
    objective: Objective | None = None
    budget_s: float = BUDGET_S


def examine(bench: Bench, wish: CostWish) -> CostExamination:
    """What was found; if it ended early, that says so."""
    going = _Going(bench, wish)
    stopped = carried_out(going.go)
    return going.result("" if stopped is None else str(stopped))


@dataclass(frozen=True, slots=True)
class _Taken:
    """A run and what was made of it."""

    trace: Trace
    summary: Summary

    def mean(self, metric: str) -> Estimate | Missing:
        """Over the answers, its interval over batches of them in order: a dozen have one too."""
        rows, found = self.trace.requests, METRICS[metric]
        order = in_due_order(rows)
        values = found.fn(self.trace)[order][(is_counted(rows) & is_ok(rows))[order]]
        values = values[np.isfinite(values)]
        n = len(values)
        if n < FEW:
            return mean_estimate(values, unit=found.unit, n_eff=float(n), of="requests")
        return ratio_estimate(values, np.ones(n), unit=found.unit, n=n, of="requests", batches="requests")

    def per_run(self, metric: str) -> Estimate | Missing:
        return self.summary.metrics[metric]["value"]

    @property
    def counted(self) -> phases.Counted:
        requests = self.trace.requests
        return phases.Counted(
            self._told(told(requests, "n_prompt_tokens")),
            self._told(new_prompt_tokens(self.trace)),
            self._told(told(requests, "n_output_tokens")),
            prompt_tokens_in_a_step(self.trace),
            self.mean("tpot_s"),
            self.mean("ttft_sent_s"),
        )

    def _told(self, counts: FloatArray) -> float | None:
        """Mean of a count over the answers that tell it."""
        counts = counts[is_counted(self.trace.requests) & is_ok(self.trace.requests) & ~np.isnan(counts)]
        return float(counts.mean()) if len(counts) else None


@dataclass(slots=True)
class _Going:
    """An examination on its way."""

    bench: Bench
    wish: CostWish
    described: Described = field(default_factory=lambda: Described(None, "it was not looked at"))
    cards: list[str] = field(default_factory=list)
    n_devices: int | None = 1
    served: Served | None = None
    ceilings: list[Ceiling] = field(default_factory=list)
    runs: dict[str, _Taken] = field(default_factory=dict)
    idle_w: float | None = None
    no_sensor: str = ""
    load: Estimate | Missing = field(default_factory=lambda: Missing("no load was measured", 0, "1/s"))
    load_is: str = ""
    not_measured: list[str] = field(default_factory=list)
    t_start_s: float = 0.0
    n_before: int = 0
    created: str = field(default_factory=lambda: utc_now().isoformat(timespec="seconds"))

    @property
    def n_together(self) -> int:
        return self.wish.concurrency or self.bench.facts.n_slots or STARTED

    def go(self) -> None:
        bench, wish = self.bench, self.wish
        self.t_start_s, self.n_before = bench.used_s(), bench.n_requests
        self.described = described(bench, answers_of(bench), wish.description)
        self._look_for_devices()
        self.served = self._served()
        self._measure_ceilings()
        if self.is_local:
            self.idle_w, self.no_sensor = idle_power_w()
        else:
            self.no_sensor = "the server is not on this machine"
        longest = min(LONG_TOKENS, (bench.facts.context_tokens or 2 * LONG_TOKENS) - 64)
        for word, n_tokens in (("short", SHORT_TOKENS), ("long", longest)):
            share_s = max(_LEAST_S, _PREFILL_SHARE * wish.budget_s)
            self._take(word, 1, share_s, input_tokens=str(n_tokens), output_tokens=_PROBE_OUTPUT)
        self._take("alone", 1, max(_LEAST_S, _ALONE_SHARE * wish.budget_s))
        self._take("together", self.n_together, max(_TOGETHER_LEAST_S, _TOGETHER_SHARE * wish.budget_s))
        self._find_load()

    def _take(self, word: str, concurrency: int, window_s: float, **lengths: Any) -> None:
        run = self.bench.take(word, concurrency=concurrency, window_s=window_s, warmup_s=_WARMUP_S, **lengths)
        trace = run.trace()
        self.runs[word] = taken = _Taken(trace, summarize(trace))
        speed = taken.per_run("output_throughput_tokens_per_s")
        shown = f"{speed.value:.3g} tokens/s" if isinstance(speed, Estimate) else speed.reason
        self.bench.say(f"{word:10}{shown}")

    def _left_s(self) -> float:
        return self.wish.budget_s - (self.bench.used_s() - self.t_start_s)

    def _find_load(self) -> None:
        """The load that is priced: the highest within the limits, else many together."""
        together = self.runs["together"].per_run("request_throughput_per_s")
        self.load, self.load_is = together, f"{self.n_together} in flight, held to no limits"
        objective = self.wish.objective
        if objective is None:
            return
        found = limits.on_points(self.bench.points, objective, budget_s=max(_SEARCH_LEAST_S, self._left_s()))
        self.load, self.load_is = load_within(found)
        self.not_measured += [f"the load within limits: {note}" for note in found.notes]

    # the model and its ceilings

    @property
    def is_local(self) -> bool:
        return self.bench.points.subject.is_local

    @property
    def on_cores(self) -> bool:
        """Whether it computes on this machine's processor, as far as anybody says."""
        device = self.wish.device
        return self.is_local and not self.cards and (device is None or device.kind in ("cpu", "unified"))

    def _look_for_devices(self) -> None:
        if self.is_local:
            self.cards = [card.name for card in hardware.look().devices if card.kind == "cuda"]
        told, start = self.wish.n_devices, self.bench.points.subject.start
        if told is not None and self.on_cores:
            self.not_measured.append("shares of --tp devices: it has none here, its cores are taken as one")
            told = None
        self.n_devices = phases.n_devices_of(told, {} if start is None else start.settings, len(self.cards))

    def _served(self) -> Served | None:
        its = self.described.it
        if its is None:
            return None
        parameters = its.stored.parameters if its.stored is not None and its.stored.parameters else None
        parameters = parameters or its.architecture.parameters
        if parameters is None:
            self.described = Described(None, f"how many parameters {its.name} has is not known")
            return None
        weights = weights_of(its.architecture, its.stored, parameters, None)
        cache = self.wish.kv_format or self.bench.engine.cache_format or its.architecture.dtype
        cache = cache if cache in KV_FORMATS else "fp16"
        return Served(its.architecture, parameters, weights, cache, self.n_devices or 1)

    def _measure_ceilings(self) -> None:
        n = self.n_devices
        if n is None:
            say = "--tp N" if self.bench.points.subject.start is None else "--set tensor_parallel=N"
            self.not_measured.append(f"shares of ceilings: on how many of {len(self.cards)} GPUs it computes: {say}")
            return
        device = self.wish.device or (of_card(self.cards[0]) if self.cards else None)
        if device is not None:
            weights = self.served.weights if self.served is not None else WEIGHT_FORMATS["bf16"]
            is_said = self.wish.n_devices is not None or self.is_local
            where = each_of(n, device.name) if is_said else f"{device.name}, taken as the only one: else say --tp N"
            self.ceilings.append(of_sheet(device, weights, where))
        else:
            self.not_measured.append("shares of a data sheet: the device is not known: name it by --device")
        if not self.is_local or not (self.cards or self.on_cores):
            why = "only processors and NVIDIA GPUs are measured" if self.is_local else "it is not on this machine"
            self.not_measured.append(f"ceilings of the device itself: {why}")
            return
        self.bench.say("ceilings  what its cores can compute and read at most")
        try:
            rates = ceilings.measure_gpu() if self.cards else ceilings.measure(self._cores(), self._near_bytes())
        except NoCeilings as error:
            self.not_measured.append(f"ceilings of the device itself: {error}")
            return
        self.ceilings.append(of_rates(rates, each_of(n, rates.where)))

    def _cores(self) -> list[int]:
        """Those that the engine may use, as many as it was told to compute on."""
        allowed: set[int] = set()
        for pid in engine_pids(self.bench.points.subject):
            try:
                allowed |= os.sched_getaffinity(pid)
            except OSError:  # it has ended
                continue
        cores = sorted(allowed or os.sched_getaffinity(0))
        start = self.bench.points.subject.start
        n_threads = start.settings.get("threads") if start is not None else None
        return cores[: n_threads if isinstance(n_threads, int) else len(cores)]

    def _near_bytes(self) -> int:
        return self.served.weights_bytes if self.served is not None else 0

    # what it came to

    def result(self, stopped: str) -> CostExamination:
        bench, its = self.bench, self.described.it
        found = [with_shares(phase, self.ceilings) for phase in self._phases()]
        used, priced = self._energy(), self._priced(found)
        self._note_missing(found, used)
        row = row_of(self.ceilings, found, findings_of(self.ceilings, found, priced), self.not_measured)
        seconds = bench.used_s() - self.t_start_s
        summary = self.runs["together"].summary if "together" in self.runs else None
        return CostExamination(
            model=bench.facts.model,
            described=its.source if its is not None else "",
            not_described=self.described.why_not,
            weights_format=self.served.weights.name if self.served is not None else "",
            weights_bytes=None if self.served is None else float(self.served.weights_bytes),
            n_devices=self.n_devices,
            ceilings=self.ceilings,
            phases=found,
            useful=self._useful(),
            energy=used,
            priced=priced,
            row=msgspec.structs.replace(row, seconds=seconds, n_requests=bench.n_requests - self.n_before),
            seconds=seconds,
            created=self.created,
            stopped=stopped,
            engine=dict(summary.engine) if summary else {"title": bench.facts.title},
            plan=dict(summary.plan) if summary else {},
            host=dict(summary.host) if summary else {},
            versions=dict(summary.versions) if summary else {},
        )

    def _phases(self) -> list[Phase]:
        found = [self._prefill()] if {"short", "long"} <= set(self.runs) else []
        a_token = _time_of(found, PREFILL)
        for word, name, n in (("alone", ALONE, 1), ("together", TOGETHER, self.n_together)):
            if word in self.runs:
                found.append(phases.decoding(self.served, name, n, self.runs[word].counted, a_token))
        return found

    def _prefill(self) -> Phase:
        """What a further token of a prompt takes: the rest of a first token's time is the same in both runs."""
        short, long = self.runs["short"], self.runs["long"]
        pair = [(run.mean("server_prefill_s"), run.mean("ttft_sent_s")) for run in (short, long)]
        is_told = all(isinstance(own, Estimate) for own, _ in pair)
        times = [own if is_told else seen for own, seen in pair]
        more = difference(times[1], times[0], method="of long prompts less that of short ones")
        source = "prefill time that the server tells" if is_told else "time to first token"
        return phases.prefill(self.served, more, (short.counted.n_new, long.counted.n_new), source)

    def _useful(self) -> dict[str, Number]:
        """Of the peak rate: FLOPs of the tokens that were computed under the load, over its time."""
        if "together" not in self.runs or self.served is None:
            return {}
        run = self.runs["together"]
        done = phases.useful_flops(self.served, run.counted)
        if done is None:
            return {}
        rate = run.per_run("request_throughput_per_s")
        seconds = product([(rate, -1)], unit="s", method="time per request")
        return {each.kind: share_of(done, seconds, each.flops.figure, what="useful FLOPs") for each in self.ceilings}

    def _energy(self) -> Used:
        if "together" not in self.runs:
            per_token, per_request, power = (no_number(_NOT_RUN, unit) for unit in ("J/token", "J/request", "W"))
            return Used(per_token, per_request, power, power)
        found = energy(self.runs["together"].trace, self.no_sensor)
        idle: Estimate | Missing = Missing(self.no_sensor or "was not read", 0, "W")
        if self.idle_w is not None:
            idle = exact(self.idle_w, n=1, unit="W", method="over three seconds before the load")
        per_token, per_request = number_of(found.per_output_token), number_of(found.per_request)
        return Used(per_token, per_request, number_of(found.power), number_of(idle), found.sensor)

    def _priced(self, found: Sequence[Phase]) -> Priced | None:
        wish, run = self.wish, self.runs.get("together")
        if wish.price_per_hour is None or run is None:
            return None
        counted = run.counted
        share: Estimate | Missing = Missing(UNCOUNTED, 0, "ratio")
        if counted.n_new is not None:
            rate = run.per_run("request_throughput_per_s")
            share = share_of_prompts(_time_of(found, PREFILL), rate, counted.n_new)
        return price(
            wish.price_per_hour,
            self.load,
            self.load_is,
            input_tokens=counted.n_prompt,
            output_tokens=counted.n_output,
            input_share=share,
            api=list(wish.api or ()),
        )

    def _note_missing(self, found: Sequence[Phase], used: Used) -> None:
        if self.served is None:
            self.not_measured.append(f"FLOPs and bytes of its tokens: {self.described.why_not}")
        if any(phase.batch is None for phase in found):
            self.not_measured.append(f"work of a step, and prices of tokens: {UNCOUNTED}")
        if not used.sensor:
            self.not_measured.append(f"energy: {used.per_output_token.missing}")
        told = [f"{phase.name}: {phase.time.missing}" for phase in found if phase.time.value is None]
        self.not_measured += told


def _time_of(found: Sequence[Phase], name: str) -> Estimate | Missing:
    none = Missing("what a prompt token takes was not measured", 0, "s/token")
    return next((phase.time.figure for phase in found if phase.name == name), none)

# SPDX-License-Identifier: Apache-2.0
"""`explain memory` of a running engine: what it was predicted to keep, what it says and what it holds, under a load.

Rounds of one request in flight and of many, in turn, say what batching gains; one longer run under many fills the
cache, and shows what is put back, and whether memory goes on growing.
Rule: memory is read by the process that samples the load, and sizes are read out of what the engine tells of itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from inferometer.analysis.growth import growth
from inferometer.analysis.held import held
from inferometer.analysis.memory import (
    Cache,
    Load,
    MemoryExamination,
    Round,
    Taken,
    Weights,
    error_of,
    gain_of,
)
from inferometer.analysis.memory_findings import NOT_RUN, findings_of, no_load, no_number, row_of
from inferometer.analysis.number import Number, number_of
from inferometer.clock import utc_now
from inferometer.config import Experiment
from inferometer.engines.cache_told import CacheTold, Sources
from inferometer.engines.prometheus import MetricsError
from inferometer.errors import EngineError
from inferometer.experiment.subject import engine_pids
from inferometer.host import hardware
from inferometer.host.description import Description
from inferometer.host.sample import EngineSampler
from inferometer.metrics.rows import is_counted, is_ok, told
from inferometer.metrics.samples import sources_of, within
from inferometer.metrics.summary import Summary, summarize
from inferometer.metrics.window import windows_of
from inferometer.model import kept, kv
from inferometer.model.formats import KV_FORMATS
from inferometer.plan.lengths import parse_lengths
from inferometer.probes.bench import Bench, Question
from inferometer.probes.explain.described import Described, answers_of, described, log_of
from inferometer.probes.explain.offered import offered
from inferometer.probes.points import carried_out
from inferometer.records import Trace
from inferometer.run_folder import Run
from inferometer.stats import Estimate, Missing, exact, mean_estimate, wilson

BUDGET_S = 120.0
N_ROUNDS = 3
STARTED, ELSEWHERE = 8, 16  # requests in flight, where nobody says how many: as a server that is started here serves
# Lengths that fill a cache in little time, half prompt and half answer, and not all alike, so that they do not step.
_MOST_TOKENS, _FEWEST_TOKENS = 2 * 320, 32  # of both together, and of each
_EVEN = 0.6  # the shortest over the longest
_LATENCIES = 6  # of a request among many that a window must hold
_TRIED_TOKENS = 32
_ROUND_SHARE, _LONG_SHARE = 0.05, 0.35  # of the budget: the window of one run of a round, and of the long run
_WARMUP_S, _LEAST_S, _LONG_LEAST_S = 1.0, 3.0, 18.0


@dataclass(frozen=True, slots=True)
class MemoryWish:
    """`description`: of the model, if it was given; `kv_format`: of the cache, likewise; `concurrency`: in flight;
    `n_rounds`: of one and of many in flight, for what batching gains."""

    description: Description | None = None
    kv_format: str | None = None
    concurrency: int | None = None
    budget_s: float = BUDGET_S
    n_rounds: int = N_ROUNDS


def lengths_of(config: Experiment, context_tokens: int | None, shrunk: float = 1.0) -> tuple[str, str]:
    """Of prompts and answers: as asked for by the person, else such that they fill a cache, and fit the context.
    `shrunk`: to this share, for an engine that is too slow for them."""
    default = Experiment()
    given = (config.input_tokens, config.output_tokens)
    if given != (default.input_tokens, default.output_tokens):
        return given
    room = _MOST_TOKENS if context_tokens is None else min(_MOST_TOKENS, context_tokens - 64)
    most = max(round(shrunk * room) // 2, _FEWEST_TOKENS)
    spec = f"uniform:{round(_EVEN * most)}-{most}"
    return spec, spec


def examine(bench: Bench, wish: MemoryWish) -> MemoryExamination:
    """What was found; if it ended early, that says so."""
    going = _Going(bench, wish)
    stopped = carried_out(going.go)
    return going.result("" if stopped is None else str(stopped))


@dataclass(slots=True)
class _Going:
    """An examination on its way."""

    bench: Bench
    wish: MemoryWish
    described: Described = field(default_factory=lambda: Described(None, "it was not looked at"))
    told: CacheTold | None = None
    why_not_told: str = ""
    before_bytes: float | None = None
    after_bytes: float | None = None
    rounds: list[Round] = field(default_factory=list)
    request_s: float = 0.0
    lengths: tuple[str, str] = ("", "")  # of the last run
    n_preempted: float | None = None
    long: Trace | None = None
    summary: Summary | None = None
    t_start_s: float = 0.0
    n_before: int = 0
    created: str = field(default_factory=lambda: utc_now().isoformat(timespec="seconds"))

    @property
    def n_many(self) -> int:
        """Requests in flight: as asked for, as many as the server says it serves, else a usual number."""
        asked = self.wish.concurrency or self.bench.facts.n_slots or (self.told.slots if self.told else None)
        return asked or (STARTED if self.bench.is_ours else ELSEWHERE)

    def go(self) -> None:
        bench = self.bench
        self.t_start_s, self.n_before = bench.used_s(), bench.n_requests
        answers = answers_of(bench)
        self.described = described(bench, answers, self.wish.description)
        self._ask(Sources(answers, self._page(), log_of(bench)))
        self.before_bytes = self._held_bytes()
        window_s = max(_LEAST_S, _ROUND_SHARE * self.wish.budget_s)
        self._try()
        for i in range(self.wish.n_rounds):
            if i >= 2 and self._left_s() < self._long_s() + 2 * window_s:
                break
            one = self._throughput(self._take(f"one-{i + 1}", 1, window_s))
            many = self._throughput(self._take(f"many-{i + 1}", self.n_many, window_s))
            self.rounds.append(Round(one, many))
            bench.say(f"round     {_told(one)} with one in flight, {_told(many)} with {self.n_many}")
        n_before = self._n_preemptions()
        run = self._take("long", self.n_many, self._long_s())
        n_after = self._n_preemptions()
        if n_before is not None and n_after is not None and n_after >= n_before:
            self.n_preempted = n_after - n_before
        self.long = run.trace()
        self.summary = summarize(self.long)
        self.after_bytes = self._held_bytes()

    def _n_preemptions(self) -> float | None:
        """Of its counter, now."""
        try:
            return self.bench.gauges().get("n_preemptions")
        except (EngineError, MetricsError):  # what it does not tell is listed as such
            return None

    def _left_s(self) -> float:
        return self.wish.budget_s - (self.bench.used_s() - self.t_start_s)

    def _long_s(self) -> float:
        return max(_LONG_LEAST_S, _LONG_SHARE * self.wish.budget_s)

    def _try(self) -> None:
        """How long a request takes among as many as will be in flight, so that shorter ones are sent if it is long."""
        _, outputs = lengths_of(self.bench.config, self.bench.facts.context_tokens)
        questions = [Question(f"Request {i} of many.", _TRIED_TOKENS) for i in range(self.n_many)]
        asked = self.bench.ask("tried", questions, concurrency=self.n_many, forces_length=True, is_read=False)
        spent_s = [answer.e2e_s for answer in asked.answers if answer.e2e_s is not None]
        self.request_s = max(spent_s, default=0.0) * parse_lengths(outputs).mean / _TRIED_TOKENS

    def _take(self, word: str, concurrency: int, window_s: float) -> Run:
        shrunk = min(1.0, window_s / (_LATENCIES * self.request_s)) if self.request_s else 1.0
        inputs, outputs = self.lengths = lengths_of(self.bench.config, self.bench.facts.context_tokens, shrunk)
        return self.bench.take(
            word,
            concurrency=concurrency,
            window_s=window_s,
            warmup_s=_WARMUP_S,
            input_tokens=inputs,
            output_tokens=outputs,
        )

    def _throughput(self, run: Run) -> Number:
        return number_of(summarize(run.trace()).metrics["output_throughput_tokens_per_s"]["value"])

    def _page(self) -> str:
        gauges = self.bench.engine.gauges
        if gauges is None:
            return ""
        try:
            reply = self.bench.control.get(gauges.path)
        except EngineError:  # it publishes none; what it would have told is then not known
            return ""
        return reply.body.decode("utf-8", errors="replace") if reply.status == 200 else ""

    def _ask(self, sources: Sources) -> None:
        ask = self.bench.engine.cache_told
        if ask is None:
            self.why_not_told = f"how {self.bench.engine.title} tells the size of its cache is not known here"
            return
        try:
            self.told = ask(sources)
        except MetricsError as error:
            self.why_not_told = str(error)
            return
        if self.told is None:
            self.why_not_told = f"{self.bench.engine.title} does not tell the size of its cache"

    def _held_bytes(self) -> float | None:
        sampler = EngineSampler(engine_pids(self.bench.points.subject))
        try:
            return dict(sampler.read()).get("pss_bytes")
        finally:
            sampler.close()

    # what it came to

    def result(self, stopped: str) -> MemoryExamination:
        cache, load, taken = self._cache(), self._load(), self._taken()
        gain = number_of(gain_of(self.rounds))
        findings = offered(findings_of(cache, load, taken), self.bench)
        row = row_of(cache, load, findings, self._not_measured(cache, load, taken, gain))
        seconds = self.bench.used_s() - self.t_start_s
        summary, its = self.summary, self.described.it
        return MemoryExamination(
            model=self.bench.facts.model,
            described=its.source if its is not None else "",
            not_described=self.described.why_not,
            cache=cache,
            weights=self._weights(),
            rounds=self.rounds,
            gain=gain,
            load=load,
            taken=taken,
            row=msgspec.structs.replace(row, seconds=seconds, n_requests=self.bench.n_requests - self.n_before),
            seconds=seconds,
            created=self.created,
            stopped=stopped,
            engine=dict(summary.engine) if summary else {"title": self.bench.facts.title},
            plan=dict(summary.plan) if summary else {},
            host=dict(summary.host) if summary else {},
            versions=dict(summary.versions) if summary else {},
            context_tokens=self.bench.facts.context_tokens,
        )

    def _cache(self) -> Cache:
        told, its = self.told, self.described.it
        if told is None:
            return Cache(error=no_number(self.why_not_told, "ratio"))
        format, known_from = self._format()
        predicted = per_token = None
        if its is not None and told.n_tokens is not None and format in KV_FORMATS:
            bits, architecture = KV_FORMATS[format], its.architecture
            per_token = kv.bytes_per_token(architecture, bits)
            if told.slots is not None:
                predicted = kept.in_slots(architecture, told.slots, told.n_tokens // told.slots, bits)
            else:
                predicted = kept.in_pool(architecture, told.n_tokens, bits)
        error = error_of(predicted, told.cache_bytes)
        if predicted is None:
            why = self.described.why_not or "layers with a window or a state share the room, which is not predicted"
            error = Missing(why, 0, "ratio")
        return Cache(
            n_tokens=told.n_tokens,
            slots=told.slots,
            block_tokens=told.block_tokens,
            format=format,
            format_known_from=known_from,
            bytes_per_token=per_token,
            predicted_bytes=predicted,
            told_bytes=told.cache_bytes,
            error=number_of(error),
            source=told.source,
        )

    def _format(self) -> tuple[str, str]:
        """Of the cache, and how it is known."""
        its = self.described.it
        if self.told is not None and self.told.cache_format is not None:
            return self.told.cache_format, "told by the engine"
        if self.wish.kv_format is not None:
            return self.wish.kv_format, "given"
        if self.bench.engine.cache_format is not None:
            return self.bench.engine.cache_format, "what this engine takes unless told otherwise"
        return (its.architecture.dtype, "the model's own") if its is not None else ("", "")

    def _weights(self) -> Weights:
        stored = self.described.it.stored if self.described.it is not None else None
        told = self.told
        return Weights(
            predicted=None if stored is None else stored.n_bytes,
            told=told.weights_bytes if told else None,
            copied=told.copied_bytes if told else None,
            other=told.other_bytes if told else None,
        )

    def _load(self) -> Load:
        trace, summary = self.long, self.summary
        if trace is None or summary is None:
            return no_load(self.n_many)
        in_cache, server = held(trace), summary.server
        rows = trace.requests[is_counted(trace.requests)]
        answered = rows[is_ok(rows)]
        sizes = told(answered, "n_prompt_tokens") + told(answered, "n_output_tokens")
        sizes = sizes[~np.isnan(sizes)]
        told_why = summary.gauges.get("not_measured") or summary.gauges.get("last_error")
        not_read = Missing(str(told_why or "the server does not tell"), 0, "")
        n_sent = len(trace.requests)
        preempted: Estimate | Missing = replace(not_read, unit="preemptions")
        if self.n_preempted is not None:
            method = "rise of its counter from before the first request to after the last"
            preempted = exact(self.n_preempted, n=n_sent, unit="preemptions", method=method)
        per_request: Estimate | Missing = replace(not_read, unit="1/request")
        if self.n_preempted is not None:
            rate = self.n_preempted / max(n_sent, 1)
            per_request = exact(rate, n=n_sent, unit="1/request", method="preemptions over requests, warm-up included")
        return Load(
            concurrency=self.n_many,
            held_mean=number_of(in_cache.mean),
            held_most=number_of(in_cache.most),
            tokens_per_request=number_of(mean_estimate(sizes, unit="tokens", n_eff=float(len(sizes)), of="requests")),
            kv_used=number_of(server.get("server_kv_used_max_ratio", replace(not_read, unit="ratio"))),
            waiting=number_of(server.get("server_requests_waiting_max", replace(not_read, unit="requests"))),
            running=number_of(server.get("server_requests_running_max", replace(not_read, unit="requests"))),
            preemptions=number_of(preempted),
            per_request=number_of(per_request),
            failed=number_of(wilson(summary.counts["failed"], summary.counts["planned"], of="requests")),
            latency_s=number_of(summary.metrics["e2e_s"]["mean"]).value,
            inputs=self.lengths[0],
            outputs=self.lengths[1],
        )

    def _taken(self) -> Taken:
        trace = self.long
        if trace is None:
            return Taken(self.before_bytes, self.after_bytes, growth=no_number(NOT_RUN, "B/request"))
        grown = growth(trace)
        gpus = [name for name in sources_of(trace.samples, "gpu") if name != "gpu"]
        windows = windows_of(trace)
        used = [within(trace.samples, name, "memory_used_bytes", windows) for name in gpus]
        return Taken(
            before_bytes=self.before_bytes,
            after_bytes=self.after_bytes,
            gpu_bytes=max((float(values.max()) for values in used if len(values)), default=None),
            growth=number_of(grown.per_request),
            growth_bytes=None if grown.first is None or grown.last is None else grown.last - grown.first,
            growth_per_s=grown.per_s,
            machine_bytes=float(hardware.look().memory_bytes) if self.bench.points.subject.is_local else None,
        )

    def _not_measured(self, cache: Cache, load: Load, taken: Taken, gain: Number) -> list[str]:
        """What could not be had, and why, one line each."""
        told = [
            ("prediction against the engine's own figure", cache.error),
            ("what batching gains", gain),
            ("use of the cache by the server's gauge", load.kv_used),
            ("preemptions", load.preemptions),
            ("growth of memory", taken.growth),
        ]
        return [f"{what}: {number.missing}" for what, number in told if number.value is None]


def _told(number: Number) -> str:
    return "no throughput" if number.value is None else f"{number.value:.3g} tokens/s"

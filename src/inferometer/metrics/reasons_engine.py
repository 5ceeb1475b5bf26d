# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt a run that lie with the engine, the load or the answers: nothing to see, failures, drift, lengths.

Rule: a threshold is about harm to a number that is printed, not about the presence of a phenomenon.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from inferometer.kinds import EMPTIED, NEW_PROMPTS, NEW_SERVER, Outcome
from inferometer.metrics.estimates import QUANTILES
from inferometer.metrics.latency import e2e, tpot, ttft
from inferometer.metrics.reason import TAIL_SHARE, TOLERANCE, Evidence, Level, Reason, percent
from inferometer.metrics.registry import METRICS, depending_on
from inferometer.metrics.rows import is_counted, is_failed, is_ok, plan_of
from inferometer.metrics.trial import Trial
from inferometer.metrics.window import flights, n_latencies
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import (
    Cut,
    Estimate,
    FloatArray,
    Missing,
    effective_n,
    effective_n_of_quantiles,
    mean_estimate,
    mser5,
    n_needed,
    quantile,
    quantile_estimate,
    trend,
)
from inferometer.units import NS_PER_S, format_duration

_SERIES: dict[str, Callable[[Trace], FloatArray]] = {"ttft_s": ttft, "tpot_s": tpot, "e2e_s": e2e}
# Drift is asked of three metrics in every run: at this level one healthy run in some thirty raises a false alarm, if
# the drift were also larger than the tolerance.
DRIFT_LEVEL = 0.99
# The speed of an idle shared machine wanders by 10 to 27 % within half a minute (20 default runs, docs/evidence); the
# intervals, widened for dependence, carry that. A drift beyond it makes the number depend on when one looked.
MAX_DRIFT = 0.30
MIN_COMPLETED = 0.98  # completions per arrival in the second half of the window, below which an open loop is saturated
# The number in flight N of a stable system differs by about sqrt(2 N) between two instants (Poisson); growth is more.
CHANCE_SIGMAS = 3.0
MAX_LENGTH_ERROR = 0.02  # latency is at most proportional to length: an error of 2 % stays below every interval printed
MAX_PREFIX_EXCESS = 0.02  # the same for prompt tokens that nobody computed
MAX_FAILED = 0.5  # beyond this most of what was asked was not measured
MIN_WORTH = 10  # independent answers of which a median is told; its interval ends at the extremes of any fewer
# Over so many latencies, answers of which nobody saw the end explain this much of Little's law: each slot's last one,
# cut in half on average, is 5 % of ten. More is a request that hangs, or a mistake in the records.
MIN_LITTLE_LATENCIES = 10.0
MAX_LITTLE_ERROR = 0.05
# Answers of a ramp that must be slower than all that follow, where these have no upper bound of their own: by chance
# the slowest five of a run stand in its first tenth once in 100,000 runs.
MIN_BEYOND = 5


def no_success(evidence: Evidence) -> Iterator[Reason]:
    """Nothing was measured."""
    requests = evidence.trace.requests
    if not (is_counted(requests) & is_ok(requests)).any():
        n = int(is_counted(requests).sum())
        text = f"none of {n} requests succeeded{_outcomes(evidence)}" if n else "no request became due"
        yield Reason(
            "no_success", "invalid", text, "look at `inferometer show RUN --slowest 5`, and at the server's log"
        )


def errors(evidence: Evidence) -> Iterator[Reason]:
    """More failures than a p99 over the successes can hide."""
    found = evidence.trace.requests[is_counted(evidence.trace.requests)]
    n_failed, n = int(is_failed(found).sum()), len(found)
    if n_failed > TAIL_SHARE * n and is_ok(found).any():
        level: Level = "invalid" if n_failed > MAX_FAILED * n else "suspect"
        text = f"{n_failed} of {n} requests failed{_outcomes(evidence)}: latencies of the successes flatter the engine"
        yield Reason(
            "errors", level, text, "read percentiles `with_failures`; `inferometer show RUN` shows the answers"
        )


def _outcomes(evidence: Evidence) -> str:
    rows = evidence.trace.requests[is_counted(evidence.trace.requests)]
    numbers, counts = np.unique(rows["outcome"][~is_ok(rows)], return_counts=True)
    words = [
        f"{n} {Outcome(o).name.lower()}" for o, n in sorted(zip(numbers, counts, strict=True), key=lambda x: -x[1])
    ]
    return f" ({', '.join(words)})" if words else ""


def too_few(evidence: Evidence) -> Iterator[Reason]:
    """A headline metric whose median has no interval. In a burst, latencies are places in a queue: not asked there."""
    bare = []
    for metric in METRICS.values():
        median = evidence.metrics[metric.name].get("p50")
        if not metric.is_headline or (evidence.mode == "burst" and metric.name != "tpot_s"):
            continue
        if (isinstance(median, Missing) and median.n) or (isinstance(median, Estimate) and not median.is_bounded):
            bare.append((metric.name, median))
    if bare:
        name, median = bare[0]
        why = median.reason if isinstance(median, Missing) else f"{median.n} requests: {median.method}"
        text = f"too few independent answers for an interval of the {name} median ({why})"
        yield Reason("too_few", "suspect", text, _MORE, tuple(n for n, _ in bare))
    elif evidence.mode != "burst" and isinstance(median := evidence.metrics["ttft_s"].get("p50"), Estimate):
        worth = sum(_worth(trial) for trial in evidence.trials)
        n = sum(int((trial.is_counted & is_ok(trial.requests)).sum()) for trial in evidence.trials)
        # Many answers that differ by next to nothing may follow each other slavishly and still tell their median.
        is_narrow = n >= MIN_WORTH and median.hi - median.lo <= TOLERANCE * median.value
        if worth < MIN_WORTH and not is_narrow:
            text = f"too few independent answers: {n}, worth {worth:.0f}; a median needs {MIN_WORTH}"
            yield Reason("too_few", "suspect", text, _MORE, ("ttft_s",))


_MORE = "measure longer: --for 120s, or more --requests"


def _worth(trial: Trial) -> float:
    """How many independent values the ttft median of a trial rests on."""
    values = ttft(Trace(trial.requests[trial.is_counted & is_ok(trial.requests)]))
    values = values[~np.isnan(values)]
    return effective_n((values <= np.median(values)).astype(np.float64)) if len(values) else 0.0


def little(evidence: Evidence) -> Iterator[Reason]:
    """Rates that do not fit the number in flight and the latencies, in a window long enough for them to fit."""
    found = evidence.metrics["little_law_ratio"]["value"]
    if not isinstance(found, Estimate) or abs(found.value - 1) <= MAX_LITTLE_ERROR:
        return
    if all(n_latencies(trial.steady, trial.requests) >= MIN_LITTLE_LATENCIES for trial in evidence.trials):
        text = f"in flight / (throughput x latency) is {found.value:.3g}, and must be 1 (Little's law)"
        remedy = "look for requests that never ended: `inferometer show RUN --slowest 5`"
        rates = tuple(
            name for name, metric in METRICS.items() if metric.unit in ("1/s", "tokens/s") and metric.per == "run"
        )
        yield Reason("little", "suspect", text, remedy, rates)


def engine_starved(evidence: Evidence) -> Iterator[Reason]:
    """The engine was ready to run and others had the CPU: it was slowed by up to this share.

    Both of the time it wanted to run and of the window: an engine that hardly runs loses little by waiting for it.
    """
    share = evidence.exceeds("engine_run_delay_ratio", TOLERANCE)
    if share is None or evidence.exceeds("engine_waited_ratio", TOLERANCE) is None:
        return
    client = evidence.number("client_cpu_ratio")
    beside = f"; the client used {percent(client)} of a core" if client is not None else ""
    text = f"others kept the engine from a CPU for up to {percent(share)} of the time it wanted to run{beside}"
    remedy = "give the engine fewer threads than cores, stop other work, or drive it from another machine"
    yield Reason("engine_starved", "suspect", text, remedy)


def not_stationary(evidence: Evidence) -> Iterator[Reason]:
    """Latencies that drift, or never settle, by more than the tolerance, in more than half of the trials."""
    found = {}
    for name, fn in _SERIES.items():
        drifts = [drift for trial in evidence.trials if (drift := _drift(trial, fn))]
        if drifts and len(drifts) > len(evidence.trials) / 2:
            found[name] = drifts[0]
    if found:
        text = ", ".join(f"{name} {drift}" for name, drift in found.items()) + " over the window"
        remedy = "warm up longer (--warmup), measure longer, or look for what changes on the server"
        yield Reason("not_stationary", "suspect", text, remedy, tuple(found))


def _drift(trial: Trial, fn: Callable[[Trace], FloatArray]) -> str:
    """How far a latency moves over a window, in words; "" if it does not. A burst is one move.

    It must move in the steady part too, else it is a ramp; a drift fools MSER, so the whole window says how far.
    """
    if trial.mode == "burst":
        return ""
    values = fn(Trace(trial.requests))
    is_in = trial.is_counted & is_ok(trial.requests) & ~np.isnan(values)
    t_due_ns, t_end_ns, values = trial.requests["t_due_ns"][is_in], trial.requests["t_end_ns"][is_in], values[is_in]
    is_late = t_due_ns >= trial.steady.t_start_ns
    in_steady_part = _move(t_due_ns[is_late], t_end_ns[is_late], values[is_late])
    return (_move(t_due_ns, t_end_ns, values) or in_steady_part) if in_steady_part else ""


def _move(t_due_ns: Array, t_end_ns: Array, values: FloatArray) -> str:
    """Shapes: [n] each, of requests in the order of their due instants."""
    if not len(values):
        return ""
    mean = float(values.mean())
    rise = trend(t_due_ns / NS_PER_S, values, unit="s", level=DRIFT_LEVEL)
    if isinstance(rise, Estimate) and (rise.lo > 0 or rise.hi < 0) and abs(rise.value) > MAX_DRIFT * mean:
        return f"{'rises' if rise.value > 0 else 'falls'} by {percent(abs(rise.value) / mean)} of its mean"
    values = values[np.argsort(t_end_ns, kind="stable")]
    cut = mser5(values)
    if not isinstance(cut, Cut) or cut.is_settled:
        return ""
    halves = [
        mean_estimate(half, unit="s", n_eff=effective_n(half), level=DRIFT_LEVEL) for half in np.array_split(values, 2)
    ]
    first, second = (half for half in halves if isinstance(half, Estimate))
    apart = first.hi < second.lo or second.hi < first.lo
    if apart and abs(second.value - first.value) > MAX_DRIFT * mean:
        return f"never settles and moves by {percent(abs(second.value - first.value) / mean)} of its mean"
    return ""


def ramp(evidence: Evidence) -> Iterator[Reason]:
    """A beginning that is not steady yet and moves a printed percentile by more than the tolerance."""
    for trial in evidence.trials:
        ramp_s = (trial.steady.t_start_ns - trial.window.t_start_ns) / NS_PER_S
        if ramp_s <= 0 or growth(trial):
            continue
        moved = {name: words for name, fn in _SERIES.items() if (words := _moved_by_ramp(trial, fn))}
        if moved:
            text = f"the first {format_duration(ramp_s)} are a ramp: without it {', '.join(moved.values())}"
            yield Reason("ramp", "suspect", text, f"add --warmup {math.ceil(ramp_s)}s", tuple(moved))
            return


def _moved_by_ramp(trial: Trial, fn: Callable[[Trace], FloatArray]) -> str:
    """What a percentile would be without the ramp, in words; "" if all about the same, or if the rest drifts too."""
    rows = trial.requests[trial.is_counted & is_ok(trial.requests)]
    values = fn(Trace(rows))
    is_defined = ~np.isnan(values)
    is_steady = rows["t_due_ns"] >= trial.steady.t_start_ns
    series = values[is_defined & is_steady]
    settled = np.sort(series)
    everything = np.sort(values[is_defined])
    name = next(name for name, known in _SERIES.items() if known is fn)
    for statistic, q in QUANTILES.items():
        if len(settled) < n_needed(q):
            continue
        (worth,) = effective_n_of_quantiles(series, settled, [q])
        after = quantile_estimate(settled, q, unit="s", n_eff=worth)
        if not isinstance(after, Estimate):
            continue
        before, hi = quantile(everything, q), after.hi
        if hi == math.inf and int((values[is_defined & ~is_steady] > settled[-1]).sum()) >= MIN_BEYOND:
            hi = float(settled[-1])
        if abs(before - after.value) <= TOLERANCE * after.value or after.lo <= before <= hi:
            continue
        which = "median" if statistic == "p50" else statistic
        moved = f"the {name} {which} is {format_duration(after.value)}, not {format_duration(before)}"
        return "" if _drift(trial, fn) else moved
    return ""


def queue_growing(evidence: Evidence) -> Iterator[Reason]:
    """Open loop beyond what the server sustains: latencies then say how long the run was, not how fast the server is.

    Either completions fall behind arrivals in the second half of the window, by more than chance, or the number in
    flight rises over the steady window (95 %) by more than the tolerance. In more than half of the trials.
    """
    signs = [sign for trial in evidence.trials if (sign := growth(trial))]
    if signs and len(signs) > len(evidence.trials) / 2:
        text = f"the queue grows: {signs[0]}; this load is not sustainable"
        remedy = "lower --rate; the request throughput is about what the server can do"
        yield Reason("queue_growing", "suspect", text, remedy, ("ttft_s", "ttft_sent_s", "e2e_s", "e2e_sent_s"))


def growth(trial: Trial) -> str:
    """How the queue of an open loop grew, in words; "" if it did not."""
    window, rows = trial.window, trial.requests
    if trial.mode != "open" or window.span_s <= 0:
        return ""
    middle_ns = (window.t_start_ns + window.t_end_ns) / 2
    due, ended = ((rows[stamp] >= middle_ns) & (rows[stamp] < window.t_end_ns) for stamp in ("t_due_ns", "t_end_ns"))
    n_due, n_ended = int(due.sum()), int((ended & is_ok(rows)).sum())
    load = flights(rows[rows["t_sent_ns"] != NEVER], window.t_end_ns)
    n_mean = float(load.means(window.edges_ns(1))[0])
    by_chance = CHANCE_SIGMAS * math.sqrt(2 * max(n_mean, 0.0))
    if n_ended < MIN_COMPLETED * n_due and n_due - n_ended > by_chance:
        return f"in the second half of the window {n_due} requests became due and {n_ended} ended well"
    edges = trial.steady.edges_ns(50)
    means = load.means(edges)
    rise = trend(edges[:-1] / NS_PER_S, means, unit="requests")
    if isinstance(rise, Estimate) and rise.lo > 0 and rise.value > max(TOLERANCE * float(means.mean()), by_chance):
        return f"requests in flight rise by {rise.value:.1f} over the window, {means.mean():.1f} on average"
    return ""


def prefix_hits(evidence: Evidence) -> Iterator[Reason]:
    """Prompt tokens that came out of a cache although prompts were made to differ."""
    if (share := evidence.exceeds("prefix_excess_ratio", MAX_PREFIX_EXCESS)) is None or evidence.is_users_traffic:
        return
    text = f"{percent(share)} of the prompt tokens came from a prefix cache, beyond template and shared prefix"
    yield Reason("prefix_hits", "suspect", text, prefix_remedy(evidence), depending_on("prompt"))


def prefix_remedy(evidence: Evidence) -> str:
    """What helps depends on what its caches could know of the prompts."""
    known = plan_of(evidence.trace).get("caches")
    if known == NEW_PROMPTS:
        return "it never saw these prompts before, so they met each other: turn the server's prefix cache off"
    if known == EMPTIED:
        return "they were emptied before, so the prompts met each other: turn the server's prefix cache off"
    if known == NEW_SERVER:
        return "the server was new, so the prompts met each other: turn its prefix cache off"
    return "another --seed makes other prompts, and none makes new ones; or turn the server's prefix cache off"


def prompts_repeated(evidence: Evidence) -> Iterator[Reason]:
    """More requests than prompts. A server that tells its cached tokens is judged by these (`prefix_hits`)."""
    n_pool = int(plan_of(evidence.trace).get("n_pool") or 0)
    n_used = int(evidence.trace.requests["id"].max(initial=-1)) + 1
    if (
        not n_pool
        or n_used <= n_pool
        or evidence.is_users_traffic
        or evidence.number("prefix_excess_ratio") is not None
        or evidence.number("server_prefix_excess_ratio") is not None
    ):
        return
    text = f"the {n_pool} prompts were used {n_used / n_pool:.1f} times"
    remedy = "--requests N, or a shorter --for; prompts were used again and a prefix cache may have helped"
    yield Reason("prompts_repeated", "suspect", text, remedy, depending_on("prompt"))


def wrong_lengths(evidence: Evidence) -> Iterator[Reason]:
    """Prompts or answers of other lengths than those asked for."""
    share = evidence.exceeds("output_length_error_ratio", MAX_LENGTH_ERROR)
    if share is not None and plan_of(evidence.trace).get("is_length_forced"):
        text = f"output lengths are off by {percent(share)} of the tokens asked for, although exact lengths were asked"
        remedy = "the engine stops early: see `ignore_eos` and the context length of the server"
        yield Reason("output_lengths", "suspect", text, remedy, depending_on("answer"))
    share = evidence.exceeds("input_length_error_ratio", MAX_LENGTH_ERROR)
    if share is not None and not evidence.is_users_traffic:
        text = f"prompt lengths, as the server counts them, are off by {percent(share)} of the tokens asked for"
        remedy = "use --api completions where it takes token ids, or allow for the chat template in --input-tokens"
        yield Reason("input_lengths", "suspect", text, remedy, depending_on("prompt"))


def odd_answers(evidence: Evidence) -> Iterator[Reason]:
    """Answers whose stream does not show what their usage says, or that are no stream."""
    asked_streams = plan_of(evidence.trace).get("is_streamed", True)
    if (share := evidence.exceeds("swallowed_ratio", TAIL_SHARE)) is not None:
        text = f"{percent(share)} of the answers have tokens in usage and no text: their time to first token is unknown"
        remedy = "the server swallows tokens (a reasoning or tool parser?): look at `inferometer show RUN`"
        yield Reason("swallowed", "suspect", text, remedy, ("ttft_s", "ttft_sent_s", "tpot_s"))
    if (share := evidence.exceeds("hidden_reasoning_ratio", TAIL_SHARE)) is not None:
        text = f"{percent(share)} of the answers think without showing it: TTFT holds the thinking, TPOT is too short"
        remedy = "let the server stream its reasoning, or turn thinking off"
        yield Reason("hidden_reasoning", "suspect", text, remedy, ("ttft_s", "ttft_sent_s", "tpot_s"))
    if asked_streams and (share := evidence.exceeds("in_one_piece_ratio", TAIL_SHARE)) is not None:
        text = f"{percent(share)} of the answers came in one piece although streams were asked for: no TTFT, no TPOT"
        remedy = "turn streaming on at the server or proxy, or measure with --no-stream"
        yield Reason("in_one_piece", "suspect", text, remedy, ("ttft_s", "ttft_sent_s", "tpot_s"))
    if (share := evidence.exceeds("uncounted_ratio", TAIL_SHARE)) is not None:
        text = f"{percent(share)} of the answers tell no token count: TPOT and token rates leave them out or guess"
        remedy = "turn usage on at the server (stream_options.include_usage)"
        yield Reason("uncounted", "suspect", text, remedy, ("tpot_s", "output_throughput_tokens_per_s"))


ENGINE_RULES: tuple[Callable[[Evidence], Iterator[Reason]], ...] = (
    no_success,
    errors,
    too_few,
    little,
    engine_starved,
    not_stationary,
    ramp,
    queue_growing,
    prefix_hits,
    prompts_repeated,
    wrong_lengths,
    odd_answers,
)

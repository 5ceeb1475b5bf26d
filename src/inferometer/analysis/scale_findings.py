# SPDX-License-Identifier: Apache-2.0
"""What is wrong with how an engine scales, out of what was measured: findings with their causes and remedies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from inferometer.analysis import curve
from inferometer.analysis.curve import Law, Point
from inferometer.analysis.finding import Bound, Finding, Level, Remedy, Trial
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.overload import Overload, ratio_to
from inferometer.analysis.scale import BOUND, Context, Prefix, gains
from inferometer.stats import Estimate, Missing, exact
from inferometer.units import format_number

LEAST_LOST = 0.10  # of throughput beyond its peak
LEAST_SPEEDUP = 1.5  # an engine that batches at all brings more
MOST_RECOVERY = 2.0  # times what working off the queue must take
MOST_UNFAIR = 2.0  # times what the queue ahead of a request explains
LEAST_DRIFT = 0.9  # of the throughput of one alone
LEAST_REUSE = 0.9  # of the time to first token: a cache that saves less than a tenth of a prompt known by nine tenths
SURELY_REUSED = 0.8  # of the shared part, that the server says it had
_OURS = "own choice"
_THROUGHPUT = ("output_throughput_tokens_per_s", "value")


def findings_of(
    points: Sequence[Point],
    law: Law | None,
    speedup: Number,
    plateau: Number,
    plateau_load: float,
    running: float | None,
    overload: Overload | None,
    prefix: Prefix | None,
    *,
    sheds: bool = False,
    drift: Number | None = None,
    context: Context | None = None,
) -> list[Finding]:
    """All of them, in the order of a growing load. `sheds`: what fails at the last load is turned away in words that a
    client understands. `drift`: of one request alone, the end over the beginning; an engine that was another one in
    the end tells nothing by what came later than what."""
    if drift is not None and drift.hi is not None and drift.hi < LEAST_DRIFT:
        return [*_failures(points, sheds=sheds), *_drifted(drift)]
    found = [*_failures(points, sheds=sheds), *_alone(points, speedup, running)]
    if not found:
        found += [*_falls(points, law, plateau, plateau_load), *_slots(points, plateau_load, running)]
    if overload is not None:
        found += [*_overloaded(overload, plateau, plateau_load), *_recovers(overload), *_unfair(overload)]
    return found + (list(_prefix(prefix, context)) if prefix is not None else [])


def _finding(code: str, level: Level, claim: str, cause: str, shown_by: str, figure: Number, **more: object) -> Finding:
    return Finding(code, "scale", level, claim, cause, shown_by, figure, **more)  # type: ignore[arg-type]


# --- a growing load ------------------------------------------------------------------------------------------------


def _drifted(drift: Number) -> Iterator[Finding]:
    yield _finding(
        "slower_than_before",
        "fair",
        f"one request alone gets {_share(drift)} of the throughput that it had at the beginning",
        "the machine or the engine became slower meanwhile: what more load does cannot be told from that",
        "the first load, measured again after the surge",
        drift,
        bound=Bound(LEAST_DRIFT, "ratio", "of its speed that an engine should still have", _OURS),
        remedy=Remedy(
            "find what slows it down first: explain latency", expected="a curve whose points belong together"
        ),
    )


def _trial(point: Point) -> Trial:
    return Trial(*_THROUGHPUT, int(point.load), latency_s=point.e2e_mean.value or 0.0)


def _failures(points: Sequence[Point], *, sheds: bool) -> Iterator[Finding]:
    point = next((point for point in points if curve.is_failing(point)), None)
    if point is None:
        return
    before = max((each.load for each in points if each.load < point.load), default=None)
    code, level, what = (
        ("sheds_under_load", "fair", "are turned away") if sheds else ("fails_under_load", "bad", "fail")
    )
    yield _finding(
        code,
        level,  # type: ignore[arg-type]
        f"with {point.load:g} requests in flight {_share(point.error)} of them {what}",
        "it takes fewer requests at a time than it is asked for, and turns the others away",
        f"outcomes of the run {point.folder}",
        point.error,
        bound=Bound(curve.MAX_ERRORS, "ratio", "requests that may fail under load", _OURS),
        remedy=Remedy(
            f"keep to {before:g} in flight, by a limit in the client or a queue in front" if before else "see its log",
            expected="no failures at that load, as measured" if before else "",
        ),
    )


def _alone(points: Sequence[Point], speedup: Number, running: float | None) -> Iterator[Finding]:
    """More requests bring no more throughput, because it serves them one after the other: by its own count where it
    tells, and one that serves several together has another reason; else by its first tokens."""
    figure = speedup.figure
    if not isinstance(figure, Estimate) or figure.hi >= LEAST_SPEEDUP or len(points) < 3:
        return
    if running is not None and running > 1:
        return
    waits = next((point for point in reversed(points) if point.resource), None)
    is_queue = running is not None and waits is not None and waits.resource.startswith("slots")
    if not is_queue and not _waits_in_turn(points):
        return
    slots = f"the server says that {running:g} ran at most" if running is not None else ""
    yield _finding(
        "one_at_a_time",
        "bad",
        f"{points[-1].load:g} requests in flight bring {figure.value:.2f} times the throughput of one",
        "requests wait for each other: it serves next to none of them together",
        slots or "times to first token that grow as the number in flight does, while tokens come no slower",
        speedup,
        bound=Bound(LEAST_SPEEDUP, "times", "of one alone, that an engine which batches brings", _OURS),
        remedy=Remedy(
            "let it serve several at a time (--parallel, --max-num-seqs), or start others beside it",
            ("max_concurrency=8",),
            "where weights are read once for all: nearly as many times the throughput as requests, at first",
            "docs/concepts/saturation.md",
        ),
        trial=_trial(points[-1]),
    )


def _waits_in_turn(points: Sequence[Point]) -> bool:
    """First tokens come later with each request more, and then as fast as for one alone."""
    first, last = points[0], points[-1]
    ttfts, tpots = (
        [one.value for one in each] for each in ((first.ttft_p50, last.ttft_p50), (first.tpot_p50, last.tpot_p50))
    )
    if None in ttfts or None in tpots:
        return False
    grows = (ttfts[1] or 0) / (ttfts[0] or 1) > 0.5 * last.load / first.load
    return grows and (tpots[1] or 0) / (tpots[0] or 1) < LEAST_SPEEDUP


def _falls(points: Sequence[Point], law: Law | None, plateau: Number, plateau_load: float) -> Iterator[Finding]:
    last = points[-1] if points else None
    best = plateau.figure
    if last is None or last.load <= plateau_load or not isinstance(best, Estimate):
        return
    at = last.request_throughput.figure
    kept = ratio_to(at, plateau) if isinstance(at, Estimate) else at
    if not isinstance(kept, Estimate) or kept.hi > 1 - LEAST_LOST:
        return
    peak = law.peak_load.value if law is not None else None
    limit = max(1, round(peak)) if peak else int(plateau_load)
    yield _finding(
        "falls_with_load",
        "bad",
        f"with {last.load:g} in flight it does {_share(number_of(kept))} of what it does with {plateau_load:g}",
        last.resource or "each request more costs all others time (beta of the scalability law)",
        "its own gauges" if last.resource else "throughput over requests in flight",
        number_of(kept),
        bound=Bound(1 - LEAST_LOST, "ratio", "of its best that more load should leave", _OURS),
        remedy=Remedy(
            f"serve at most {limit} at a time and let the others wait",
            (f"max_concurrency={limit}",),
            f"{format_number(1 / kept.value)} times the throughput at {last.load:g} in flight",
            "the best of the loads measured",
        ),
        trial=_trial(last),
    )


def _slots(points: Sequence[Point], plateau_load: float, running: float | None) -> Iterator[Finding]:
    """It could do more, but does not take more at a time."""
    last = points[-1] if points else None
    if last is None or running is None or not last.resource.startswith("slots") or running >= last.load:
        return
    steps = [(a, b, gain) for (a, b), gain in zip(pairwise(points), gains(points), strict=True) if b.load <= running]
    if not steps or steps[-1][2] < curve.MIN_GAIN:
        return
    before, after, gain = steps[-1]
    figure = number_of(exact(running, n=len(points), unit="requests", method="largest of its gauge over all loads"))
    yield _finding(
        "slots",
        "fair",
        f"it serves {running:g} at a time; further requests wait while its cache has room",
        last.resource,
        "its gauges of running and waiting requests",
        figure,
        remedy=Remedy(
            f"let it serve {2 * int(running)} at a time",
            (f"max_concurrency={2 * int(running)}",),
            f"up to {100 * gain:.0f} % more throughput, if doubling goes on as the last one went",
            f"gain per doubling from {before.load:g} to {after.load:g} in flight",
        ),
        trial=_trial(last),
    )


# --- more than it bears --------------------------------------------------------------------------------------------


def _overloaded(overload: Overload, plateau: Number, load: float) -> Iterator[Finding]:
    n, counts = sum(overload.counts.values()), overload.counts
    limit = max(1, int(load))
    at = f"at {format_number(overload.surge_rate)} requests/s"
    queued = f"preempted {overload.n_preempted:.0f} times" if overload.n_preempted else ""
    if overload.word == "collapses":
        yield _finding(
            "collapses",
            "bad",
            f"{at} it answers {_share(overload.kept)} of what it can do",
            f"memory: requests lose their place in the cache and are computed again ({queued})"
            if queued
            else "it works against itself when more wait than it can serve",
            "its counter of preemptions" if queued else f"answers per second in the run {overload.folder}",
            overload.kept,
            bound=BOUND,
            remedy=Remedy(
                f"serve at most {limit} at a time and let the others wait",
                (f"max_concurrency={limit}",),
                f"{format_number(1 / (overload.kept.value or 1))} times the throughput under overload",
                "throughput at that load, as measured",
            ),
            trial=_as_crowded(overload, plateau),
        )
    if overload.word == "fails":
        yield _finding(
            "fails_when_overloaded",
            "bad",
            f"{at} {counts['failed']} of {n} requests end in errors that say nothing of overload",
            f"most often: {overload.says}" if overload.says else "connections or streams that break",
            f"outcomes of the run {overload.folder}",
            number_of(exact(counts["failed"] / n, n=n, unit="ratio", method="share of the requests of the surge")),
            bound=Bound(0.01, "ratio", "requests that may fail otherwise than by 429 or 503", _OURS),
            remedy=Remedy(
                f"refuse early: a limit of {limit} in flight in front of it, with 429 or 503 and Retry-After",
                expected="clients that know when to come again; the others are answered as before",
            ),
        )
    if overload.word == "queues" and overload.worst.value is not None and overload.before.value is not None:
        yield _finding(
            "queues",
            "fair",
            f"{at} it takes everything and lets it wait: one in ten waits {overload.worst.value:.3g} s for a first "
            f"token, {overload.worst.value / overload.before.value:.0f} times as long as before",
            "nothing limits its queue",
            f"times to first token in the run {overload.folder}",
            overload.worst,
            remedy=Remedy(
                f"refuse beyond {2 * limit} in flight (vLLM: --max-num-queued-reqs; others: a proxy in front)",
                expected=_shorter(plateau, limit, overload),
            ),
        )


def _as_crowded(overload: Overload, plateau: Number) -> Trial | None:
    """As many in flight as the surge brought, kept there: a surge goes on growing until it ends."""
    throughput = (plateau.value or 0.0) * (overload.kept.value or 0.0)
    if not overload.n_in_flight or not throughput:
        return None
    return Trial(*_THROUGHPUT, overload.n_in_flight, latency_s=overload.n_in_flight / throughput)


def _shorter(plateau: Number, limit: int, overload: Overload) -> str:
    if not plateau.value or overload.worst.value is None:
        return ""
    wait_s = 2 * limit / plateau.value
    return f"waits of at most about {wait_s:.2g} s; the others know it at once" if wait_s < overload.worst.value else ""


def _recovers(overload: Overload) -> Iterator[Finding]:
    figure, least_s = overload.recovery.figure, overload.least_recovery_s
    if least_s is None or overload.is_slower_after:
        return
    is_never = isinstance(figure, Missing) and figure.reason.startswith("not back")
    slack_s = MOST_RECOVERY * least_s + (overload.before.value or 0.0)
    if not is_never and not (isinstance(figure, Estimate) and figure.lo > slack_s + 1.0):
        return
    told = figure.reason if isinstance(figure, Missing) else f"takes {figure.value:.3g} s to be as before"
    yield _finding(
        "slow_recovery",
        "bad",
        f"after {overload.surge_s:.3g} s of overload it is {told}" if is_never else f"after overload it {told}",
        "what it was left with holds it up longer than working it off must take",
        f"times to first token after the surge in the run {overload.folder}",
        overload.recovery,
        bound=Bound(slack_s, "s", "twice what working off the queue takes", "requests in flight over spare throughput"),
        remedy=Remedy("restart it after an overload, or keep overload away from it by a limit in front"),
    )


def _unfair(overload: Overload) -> Iterator[Finding]:
    figure = overload.unfair.figure
    if not isinstance(figure, Estimate) or max(figure.lo, 0.0) < MOST_UNFAIR:
        return
    yield _finding(
        "unfair_queue",
        "bad",
        f"under overload one in twenty waits {figure.value:.2g} times as long as those ahead of it explain",
        "others that came later are served first",
        f"order of due and first token in the run {overload.folder}",
        overload.unfair,
        bound=Bound(MOST_UNFAIR, "times", "the wait that the queue ahead explains", _OURS),
        remedy=Remedy(
            "serve in order of arrival (vLLM: --scheduling-policy fcfs)", expected="no wait beyond the queue"
        ),
    )


# --- equal beginnings ----------------------------------------------------------------------------------------------


def _prefix(prefix: Prefix, context: Context | None) -> Iterator[Finding]:
    """Unless the server says that it does use them again, or there is next to nothing to save."""
    figure, share = prefix.ttft.figure, prefix.n_shared / prefix.n_tokens
    if not isinstance(figure, Estimate) or figure.lo < LEAST_REUSE:
        return
    if (prefix.cached.value or 0.0) >= SURELY_REUSED * share or _to_save(share, context) < 2 * (1 - LEAST_REUSE):
        return
    yield _finding(
        "prefix_not_reused",
        "fair",
        f"prompts that share {prefix.n_shared} of {prefix.n_tokens} tokens get their first token no sooner "
        f"({figure.value:.2f} times)",
        "what was computed for an equal beginning is not used again",
        "time to first token with and without a shared beginning",
        prefix.ttft,
        bound=Bound(LEAST_REUSE, "ratio", "of the time to first token, with nine tenths known", _OURS),
        remedy=Remedy(
            "switch its prefix cache on, or give it room",
            ("prefix_cache=on",),
            f"up to {100 * share:.0f} % of the time to first token",
        ),
        trial=Trial(
            "ttft_s", "p50", 1, fields={"input_tokens": str(prefix.n_tokens), "shared_prefix": prefix.n_shared}
        ),
    )


def _to_save(share: float, context: Context | None) -> float:
    """How much of the time to first token is spent on `share` of a long prompt, at the least: by how much longer it is
    than that of a short one, as a prompt's own time grows with its length; 1 where that is not known."""
    longer = context.ttft.lo if context is not None else None
    if context is None or longer is None:
        return 1.0
    return share * (1 - 1 / max(longer, 1.0)) * context.n_long / (context.n_long - context.n_short)


def _share(number: Number) -> str:
    value = number.value
    return "none" if value is None else f"{100 * value:.0f} %"

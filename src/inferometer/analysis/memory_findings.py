# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an engine's memory, and why: rules over what was measured and what the engine tells.

Rule: a cause is named only where a gauge or a probe shows it; that a request failed is not a cause.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.finding import Bound, Fields, Finding, Remedy, Row, Trial, worst_first
from inferometer.analysis.memory import WITHIN_RATIO, Cache, Load, Taken, n_in_room, used_share
from inferometer.analysis.number import Number, number_of
from inferometer.stats import Estimate
from inferometer.units import format_bytes

MAX_PREEMPTIONS = 0.01  # per request: a load beyond it is not sustained (methods: detection of saturation)
FULL = 0.95  # share of the cache from which on it is what is missing
MAX_FAILED = 0.01
# What a server keeps of a request in its own books (logs, statistics) is some kilobytes: below this, and if it would
# take longer than this to fill the machine, growth is not called a leak.
BOOKS_BYTES = 16 * 1024
LEAK_HOURS = 7 * 24.0


def findings_of(cache: Cache, load: Load, taken: Taken) -> list[Finding]:
    """Worst first."""
    found = [
        _too_small(cache, load) or _waits_for_room(cache, load),
        _dies_full(cache, load),
        _grows(cache, load, taken),
        _unlike(cache),
    ]
    return worst_first(finding for finding in found if finding is not None)


def row_of(cache: Cache, load: Load, findings: Sequence[Finding], not_measured: Sequence[str]) -> Row:
    """The row for memory: its figure is the share of the room for tokens that the load fills."""
    share = load.kv_used
    headline = f"of the cache in use with {load.concurrency} in flight, at most"
    if share.value is None:
        share, headline = number_of(used_share(load, cache)), f"of the cache in use with {load.concurrency} in flight"
    return Row(
        challenge="memory",
        headline=headline,
        figure=share,
        bound=Bound(FULL, "ratio", "from where requests wait for room or are put back"),
        findings=list(findings),
        not_measured=list(not_measured),
    )


def _too_small(cache: Cache, load: Load) -> Finding | None:
    """Running requests are put back for want of room: what they had computed is computed again."""
    rate, n = load.per_request.value, load.preemptions.value
    if rate is None or n is None or rate <= MAX_PREEMPTIONS:
        return None
    fits = n_in_room(load, cache)
    room = f"room for {cache.n_tokens:,} tokens" if cache.n_tokens else "room for too few tokens"
    size = load.tokens_per_request.value or 0.0
    told = f"{n:,.0f} preemptions in {load.per_request.n:,} requests with {load.concurrency} in flight"
    remedy = None
    if fits is not None:
        needed = round(load.concurrency * size)
        change = f"give the cache room for {needed:,} tokens, or serve at most {max(fits, 1):,} requests at a time"
        remedy = Remedy(
            change,
            (f"max_concurrency={max(fits, 1)}",),
            f"no preemptions: {n * size / 2:,.0f} tokens or so need not be computed again, and no answer pauses for it",
            "half of what a request holds in the end, for each that is put back",
        )
    return Finding(
        code="cache_too_small",
        challenge="memory",
        level="bad",
        claim=f"{told}: answers stop in the middle and are computed again",
        cause=f"the cache for keys and values is too small for this load: {room}, "
        f"and {load.concurrency} requests of {size:,.0f} tokens hold up to {load.concurrency * size:,.0f}",
        shown_by="the server's counter of preemptions" + (f"; {_filled(load)}" if _filled(load) else ""),
        figure=load.per_request,
        bound=Bound(MAX_PREEMPTIONS, "1/request", "preemptions per request that a sustained load may have"),
        remedy=remedy,
        trial=_trial(load),
    )


def _trial(load: Load) -> Trial:
    """What is computed again is throughput that is missing."""
    fields: Fields = {}
    if load.inputs and load.outputs:
        fields = {"input_tokens": load.inputs, "output_tokens": load.outputs}
    return Trial("output_throughput_tokens_per_s", "value", load.concurrency, fields, load.latency_s or 0.0)


def _waits_for_room(cache: Cache, load: Load) -> Finding | None:
    """The cache is full while requests wait that could run beside the others; whether any was put back is not told."""
    used, waiting, running = load.kv_used.value, load.waiting.value, load.running.value
    if used is None or waiting is None or running is None:
        return None
    if used < FULL or waiting < 1 or running + waiting < load.concurrency / 2 or load.preemptions.value is not None:
        return None
    size = load.tokens_per_request.value or 0.0
    needed = f"{load.concurrency * size:,.0f} tokens"
    room = f"room for {cache.n_tokens:,} tokens" if cache.n_tokens else "room for too few tokens"
    return Finding(
        code="cache_too_small",
        challenge="memory",
        level="bad",
        claim=f"{waiting:,.0f} requests wait at the most, with {load.concurrency} in flight, while the cache is full",
        cause=f"the cache for keys and values is too small for this load: {room}, "
        f"and {load.concurrency} requests of {size:,.0f} tokens hold up to {load.concurrency * size:,.0f}",
        shown_by=f"the server's gauges: cache {100 * used:.0f} % full, {waiting:,.0f} waiting, {running:,.0f} running",
        figure=load.kv_used,
        bound=Bound(FULL, "ratio", "from where requests wait for room or are put back"),
        remedy=Remedy(f"give the cache room for {needed}", (), "all of them run at a time"),
    )


def _filled(load: Load) -> str:
    return "" if load.kv_used.value is None else f"its cache was {100 * load.kv_used.value:.0f} % full"


def _dies_full(cache: Cache, load: Load) -> Finding | None:
    """Requests fail while what they hold reaches the room there is, in an engine that shares it among them."""
    failed, most = load.failed.figure, load.held_most.value
    if not isinstance(failed, Estimate) or failed.lo <= MAX_FAILED or most is None or not cache.n_tokens:
        return None
    if cache.slots is not None or most < FULL * cache.n_tokens:
        return None
    return Finding(
        code="cache_runs_full",
        challenge="memory",
        level="wrong",
        claim=f"{100 * failed.value:.0f} % of the requests fail with {load.concurrency} in flight",
        cause=f"they share a cache of {cache.n_tokens:,} tokens, which they fill: {most:,.0f} at the most",
        shown_by="tokens held by the requests in flight, as counted here, against the room that the engine tells",
        figure=load.failed,
        bound=Bound(MAX_FAILED, "ratio", "share of requests that may fail"),
        remedy=Remedy("give each slot its own part of the cache, or more of it", (), "no answer ends for want of room"),
    )


def _grows(cache: Cache, load: Load, taken: Taken) -> Finding | None:
    """Private memory grows on with requests, by more than a cache explains that is touched for the first time."""
    growth, hours = taken.growth.figure, taken.hours_left
    if not isinstance(growth, Estimate) or growth.lo <= BOOKS_BYTES or hours is None or hours > LEAK_HOURS:
        return None
    explained = _touched(cache, load, growth.n)
    if explained is not None and growth.lo <= explained:
        return None
    other = (
        f"a cache that is touched for the first time would explain {format_bytes(explained)} of it"
        if explained
        else "a cache that is touched for the first time grows, too, up to its size, which is not known here"
        if explained is None
        else "its cache is there from the start"
    )
    return Finding(
        code="memory_grows",
        challenge="memory",
        level="bad",
        claim=f"every request leaves {format_bytes(growth.value)} behind "
        f"[{format_bytes(growth.lo)}, {format_bytes(growth.hi)}]; at this load the machine is full in {_hours(hours)}",
        cause=f"memory that requests took is not given back: a leak ({other})",
        shown_by="private memory of its processes, once a second, over the later part of a steady load",
        figure=taken.growth,
        bound=Bound(BOOKS_BYTES, "B/request", "more than a server keeps of a request in its books"),
        remedy=Remedy(
            "start the engine anew before its memory is full, and report it to its makers with this run",
            (),
            f"until then {_hours(hours)} at this load",
        ),
    )


def _touched(cache: Cache, load: Load, n_requests: int) -> float | None:
    """Bytes per request by which a cache grows that the system gives out only when it is first written to: none where
    it was given out in slots from the start, what a request holds where it is a pool, and no more in all than the pool
    has; None: not known."""
    if cache.slots is not None:
        return 0.0
    size = load.tokens_per_request.value
    if cache.bytes_per_token is None or size is None:
        return None
    block = cache.block_tokens or 1
    held = (size + block) * cache.bytes_per_token
    return held if cache.predicted_bytes is None else min(held, cache.predicted_bytes / max(n_requests, 1))


def _unlike(cache: Cache) -> Finding | None:
    error = cache.error.value
    if error is None or abs(error) <= WITHIN_RATIO:
        return None
    assert cache.predicted_bytes is not None
    assert cache.told_bytes is not None
    return Finding(
        code="cache_unlike_predicted",
        challenge="memory",
        level="fair",
        claim=f"its cache is {format_bytes(cache.told_bytes)}, and {format_bytes(cache.predicted_bytes)} were "
        f"predicted for {cache.n_tokens or 0:,} tokens in {cache.format}",
        cause="the engine keeps it in another number format or layout than was thought, or serves another model",
        shown_by=cache.source,
        figure=cache.error,
        bound=Bound(WITHIN_RATIO, "ratio", "difference that is promised not to be exceeded"),
        remedy=Remedy("name the model's file and the format of the cache: --model-file, --kv"),
    )


def _hours(hours: float) -> str:
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"


def no_number(reason: str, unit: str) -> Number:
    """A figure that is not there."""
    return Number(None, None, None, 0, unit, missing=reason)


NOT_RUN = "the long run was not carried out"


def no_load(concurrency: int) -> Load:
    """Nothing of the long run is known."""
    tokens, ratio, requests = (no_number(NOT_RUN, unit) for unit in ("tokens", "ratio", "requests"))
    none, rate = no_number(NOT_RUN, "preemptions"), no_number(NOT_RUN, "1/request")
    return Load(concurrency, tokens, tokens, tokens, ratio, requests, requests, none, rate, ratio)

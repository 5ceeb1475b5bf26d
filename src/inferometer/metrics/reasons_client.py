# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt a run that lie with the client and its machine: lateness, stamps, reads, CPU.

Rule: a threshold is about harm to a number that is printed, not about the presence of a phenomenon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from inferometer.kinds import Outcome
from inferometer.metrics.absences import Absences, absences, left_late, misdated_chunks, misdated_firsts
from inferometer.metrics.fidelity import is_user_stamped
from inferometer.metrics.latency import lateness
from inferometer.metrics.reason import TAIL_SHARE, TOLERANCE, Evidence, Reason, percent
from inferometer.metrics.registry import depending_on
from inferometer.metrics.rows import Mask, is_counted, plan_of
from inferometer.metrics.samples import series
from inferometer.metrics.slo import STATISTICS
from inferometer.metrics.tokens import token_chunks
from inferometer.records import Trace
from inferometer.stats import Estimate, rank_interval
from inferometer.units import NS_PER_S, format_duration

# Headline latencies that count from due, and the same from sent; what else counts from due follows one of them.
_FROM_DUE = {"ttft_s": "ttft_sent_s", "e2e_s": "e2e_sent_s"}
_GAPS = ("gap_s", "gap_token_s", "gap_max_s")
_ALL_LATENCIES = ("ttft_s", "ttft_sent_s", "ttfat_s", "tpot_s", "e2e_s", *_GAPS)
# An open loop that sends less than this of what was due offered another load than the one it is named after (the same
# bound by which a server's completions are held against its arrivals).
MIN_DELIVERED = 0.98
# A client that waits for a core for a quarter of the time is no instrument, whatever harm can be seen.
MAX_WAITING = 0.25
# What a client is late by for want of a core comes and goes with its neighbours, and is neither load nor engine: half
# of the tolerance. Three busy neighbours made a p99 of TTFT 9 % too long (docs/evidence/spoiled-runs.md).
MAX_LATE_WHEN_STARVED = TOLERANCE / 2
# CPU time stolen by the hypervisor hits client and engine alike, in bursts; half of the tolerance, since tails feel it.
MAX_STEAL = TOLERANCE / 2


def late_sends(evidence: Evidence) -> Iterator[Reason]:
    """Send lateness against the metrics that count from due.

    Invalid where even the lower end of the interval of p99 lateness is beyond the tolerance; suspect where lateness
    moves a printed percentile by more than the tolerance. In closed loop lateness is the time to hand a slot over.
    """
    late = np.sort(lateness(evidence.trace)[is_counted(evidence.trace.requests)])
    late = late[~np.isnan(late)]
    if not len(late):
        return
    rank, _ = rank_interval(len(late), 0.99)
    at_least = float(late[rank - 1]) if rank else 0.0
    what = "slots were handed over" if evidence.mode == "closed" else "requests were sent"
    remedy = "leave the client a core of its own, lower the load, or measure longer answers"
    medians = {name: median for name in _FROM_DUE if (median := evidence.median(name)) is not None}
    spoiled = {name: median for name, median in medians.items() if at_least > TOLERANCE * median}
    if spoiled:
        name, median = min(spoiled.items(), key=lambda item: item[1])
        text = (
            f"{what} {format_duration(at_least)} late or more at p99, over 10 % of the {name} median "
            f"{format_duration(median)}"
        )
        yield Reason("late_sends", "invalid", text, remedy, _and_kin(spoiled))
    moved = {
        name: words
        for name in medians
        if name not in spoiled and (words := _moved_percentile(evidence, name, _FROM_DUE[name]))
    }
    if moved:
        text = f"{what} up to {format_duration(float(late[-1]))} late: " + ", ".join(moved.values())
        yield Reason("late_sends", "suspect", text, remedy, _and_kin(moved))


def _and_kin(names: Iterable[str]) -> tuple[str, ...]:
    """These headline metrics, and what else counts from due and is about as short, or a multiple of them."""
    kin = {"ttft_s": {"ttfat_s", "ttfb_s"}, "e2e_s": {"normalized_latency_s"}}
    found = {other for name in names for other in (name, *kin[name])}
    return tuple(name for name in depending_on("due") if name in found)


def _moved_percentile(evidence: Evidence, name: str, from_sent: str) -> str:
    """The first percentile that lateness raises by more than the tolerance, in words; "" if there is none."""
    for statistic, q in STATISTICS.items():
        due, sent = evidence.metrics[name].get(statistic), evidence.metrics[from_sent].get(statistic)
        if q is None or not isinstance(due, Estimate) or not isinstance(sent, Estimate):
            continue
        if due.value - sent.value > TOLERANCE * due.value:
            return (
                f"{name} {statistic} is {format_duration(due.value)} from due, {format_duration(sent.value)} from sent"
            )
    return ""


def not_delivered(evidence: Evidence) -> Iterator[Reason]:
    """Load that was due and did not leave the client, or left it at a lower rate."""
    requests = evidence.trace.requests[is_counted(evidence.trace.requests)]
    n_unsent = int((requests["outcome"] == Outcome.NOT_SENT).sum())
    # A run killed at some instant had a few requests due in that very instant.
    allowed = TOLERANCE if evidence.trace.meta.get("is_cut_off") else TAIL_SHARE
    remedy = "lower the rate, or allow the client more open files, memory or a core of its own"
    if n_unsent > allowed * len(requests):
        text = f"{n_unsent} of {len(requests)} requests were due and never left the client"
        yield Reason("not_delivered", "invalid", text, remedy)
        return
    offered, delivered = (evidence.metrics[name]["value"] for name in ("offered_per_s", "delivered_per_s"))
    if not isinstance(offered, Estimate) or not isinstance(delivered, Estimate):
        return
    if delivered.value < MIN_DELIVERED * offered.value:
        text = f"{offered.value:.4g} requests/s were due, {delivered.value:.4g} were sent"
        yield Reason("not_delivered", "invalid", text, remedy)


def lagging_stamps(evidence: Evidence) -> Iterator[Reason]:
    """User-space stamps where they are the only ones, or where too many of the kernel's were refused."""
    if is_user_stamped(evidence.trace):
        lag = evidence.number("pass_typical_max_s")
        source = f"no kernel stamps, and the driving loop is up to {format_duration(lag or 0)} late in a typical second"
    else:
        stamped = evidence.number("kernel_stamped_ratio")
        unstamped = 0.0 if stamped is None else 1 - stamped
        refused = max(unstamped, evidence.number("kernel_rejected_ratio") or 0.0)
        lag = evidence.number("read_lag_p99_s") if refused > TAIL_SHARE else None
        source = (
            f"{percent(refused)} of the reads have no kernel stamp, and user space lags by {format_duration(lag or 0)}"
        )
    spoiled = tuple(
        name
        for name in ("ttft_s", "e2e_s", *_GAPS)
        if lag is not None and (median := evidence.median(name)) is not None and lag > TOLERANCE * median
    )
    if spoiled:
        remedy = "leave the client a core of its own, or measure from Linux over plain HTTP"
        yield Reason("lagging_stamps", "suspect", f"{source}: over 10 % of the median of {spoiled[0]}", remedy, spoiled)


def merged_reads(evidence: Evidence) -> Iterator[Reason]:
    """Several token-bearing events in one read: the gap between them is lost, the one before it is too long."""
    if (share := evidence.exceeds("merged_ratio", TAIL_SHARE)) is None:
        return
    # As many gaps as are lost have a neighbour that is too long: they stand above all others.
    too_long = [name for name, q in STATISTICS.items() if q in (0.5, 0.9, 0.95, 0.99) and 1 - q < share]
    low = "p50 understated, " if share > TOLERANCE else ""
    text = f"{percent(share)} of the gaps lie within one read: gap {low}{', '.join(too_long) or 'p99'} overstated"
    remedy = "if the engine sends tokens one by one, lower the load or leave the client a core of its own"
    yield Reason("merged_reads", "suspect", text, remedy, _GAPS)


def client_starved(evidence: Evidence) -> Iterator[Reason]:
    """The driving process was ready to run and had no CPU, and was late by it.

    A client that wakes up thousands of times a second waits a little each time, and harms nothing.
    """
    if (share := evidence.exceeds("client_run_delay_ratio", TOLERANCE)) is None:
        return
    spoiled = _ALL_LATENCIES if share > MAX_WAITING else _late_for(evidence)
    if spoiled:
        text = f"the client waited for a CPU during {percent(share)} of the window"
        remedy = "stop other work on this machine, or give client and engine cores of their own"
        yield Reason("client_starved", "suspect", text, remedy, spoiled)


def _late_for(evidence: Evidence) -> tuple[str, ...]:
    """Metrics for which a client without a core was late at p99, in sending or in reading, by more than it may be."""
    sent_late, read_late = evidence.number("lateness_p99_s"), evidence.number("read_lag_p99_s")
    late_s = dict.fromkeys(_FROM_DUE, sent_late) | dict.fromkeys(_GAPS, read_late)
    return tuple(
        name
        for name, late in late_s.items()
        if late is not None and (median := evidence.median(name)) is not None and late > MAX_LATE_WHEN_STARVED * median
    )


def client_stalled(evidence: Evidence) -> Iterator[Reason]:
    """The driving loop stood still: stopped, or long in one of its passes.

    Waiting for a core is `client_starved`, writing `slow_disk`.
    """
    away = absences(evidence.trace, [trial.window for trial in evidence.trials])
    away = away.only(~away.is_wait & ~away.is_write)
    if spoiled := _spoiled_by(evidence, away):
        longest = format_duration(float(away.lengths_ns.max()) / NS_PER_S)
        text = f"the client stood still {_times(len(away))}, for {longest} at the longest: {_touched(evidence, away)}"
        remedy = (
            "something stopped the client (a debugger, a suspended machine, a core it had to share): repeat the run"
        )
        yield Reason("client_stalled", "suspect", text, remedy, spoiled)


def slow_disk(evidence: Evidence) -> Iterator[Reason]:
    """Writing down what came took so long that the sockets waited. Writing waits for a core, too: that is taken off."""
    away = absences(evidence.trace, [trial.window for trial in evidence.trials])
    away = away.only(away.is_write)
    share = evidence.exceeds("client_write_ratio", TOLERANCE + (evidence.number("client_run_delay_ratio") or 0.0))
    spoiled = _spoiled_by(evidence, away)
    if share is None and not spoiled:
        return
    parts = [] if share is None else [f"the client was writing to its disk during {percent(share)} of the window"]
    if spoiled:
        longest = format_duration(float(away.lengths_ns.max()) / NS_PER_S)
        parts.append(f"writes took up to {longest}: {_touched(evidence, away)}")
    remedy = "choose a folder on another disk with --out, or --no-content"
    yield Reason("slow_disk", "suspect", "; ".join(parts), remedy, spoiled if share is None else _ALL_LATENCIES)


def _spoiled_by(evidence: Evidence, away: Absences) -> tuple[str, ...]:
    """Metrics of which absences touch more than a tail, each long enough to move the metric by the tolerance."""
    if not len(away):
        return ()
    trace = evidence.trace
    n_requests, n_gaps = int(is_counted(trace.requests).sum()), len(token_chunks(trace).t_ns)
    touched: dict[str, tuple[int, Callable[[Trace, Absences], Mask], str]] = {
        "ttft_s": (n_requests, _left_late_or_misdated, "ttft_s"),
        "ttft_sent_s": (n_requests, misdated_firsts, "ttft_sent_s"),
        "e2e_s": (n_requests, left_late, "e2e_s"),
        "tpot_s": (n_requests, misdated_firsts, "e2e_s"),  # a first token that is late shortens all that follow it
        **{name: (n_gaps, misdated_chunks, name) for name in _GAPS},
    }
    spoiled = []
    for name, (n, find, against) in touched.items():
        median = evidence.median(against)
        if median is None:
            continue
        long = away.only(away.lengths_ns > TOLERANCE * median * NS_PER_S)
        if len(long) and int(find(trace, long).sum()) > TAIL_SHARE * n:
            spoiled.append(name)
    return tuple(spoiled)


def _left_late_or_misdated(trace: Trace, away: Absences) -> Mask:
    return np.asarray(left_late(trace, away) | misdated_firsts(trace, away))


def _touched(evidence: Evidence, away: Absences) -> str:
    n = int(_left_late_or_misdated(evidence.trace, away).sum())
    n_all = int(is_counted(evidence.trace.requests).sum())
    return f"{n} of {n_all} requests became due or had their first token meanwhile"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def stolen_time(evidence: Evidence) -> Iterator[Reason]:
    """The hypervisor gave the machine's time to others."""
    if (share := evidence.exceeds("steal_ratio", MAX_STEAL)) is not None:
        text = f"the hypervisor took {percent(share)} of this machine's CPU time"
        yield Reason("stolen_time", "suspect", text, "measure on a machine that is not overcommitted")


def collector_pauses(evidence: Evidence) -> Iterator[Reason]:
    """Garbage collections while driving."""
    if (share := evidence.exceeds("client_gc_ratio", TAIL_SHARE)) is not None:
        text = f"the client's garbage collector ran during {percent(share)} of the window"
        yield Reason(
            "collector_pauses", "suspect", text, "please report this: the loop makes no cycles", _ALL_LATENCIES
        )


def clock_steps(evidence: Evidence) -> Iterator[Reason]:
    """The wall clock, to which kernel stamps belong, was set while they were taken.

    Stamps are mapped anew in every pass, so only what had come and was not read yet is misdated, of requests then in
    flight. Where the instants are not known, any of them may have been.
    """
    steps = evidence.exceeds("clock_steps", 0)
    if steps is None or is_user_stamped(evidence.trace):
        return
    times = f"the wall clock was set {_times(round(steps))} during the run, and kernel stamps belong to it"
    remedy = "let the time service settle, then repeat the run"
    t_ns, sizes_s = series(evidence.trace.samples, "clock", "step_s")
    if not len(t_ns):
        yield Reason("clock_steps", "suspect", times, remedy, _ALL_LATENCIES)
        return
    requests = evidence.trace.requests
    is_open = np.zeros(len(requests), bool)
    for t_step_ns in t_ns:
        is_open |= (requests["t_sent_ns"] <= t_step_ns) & (requests["t_end_ns"] > t_step_ns)
    n_open, n = int((is_open & is_counted(requests)).sum()), int(is_counted(requests).sum())
    if n_open > TAIL_SHARE * n:
        size = format_duration(float(np.abs(sizes_s).max()))
        text = f"{times}: by up to {size}, with {n_open} of {n} requests in flight, whose stamps may be wrong"
        yield Reason("clock_steps", "suspect", text, remedy, _ALL_LATENCIES)


def cut_off(evidence: Evidence) -> Iterator[Reason]:
    """The records end before the run was over."""
    requests = evidence.trace.requests
    n_open = int(np.isin(requests["outcome"], (Outcome.CENSORED, Outcome.CANCELLED)).sum())
    is_cut_off = bool(evidence.trace.meta.get("is_cut_off"))
    if is_cut_off or (requests["outcome"] == Outcome.CANCELLED).any():
        how = "was cut off" if is_cut_off else "was stopped"
        text = f"the run {how} with {n_open} requests open; they count as failures where failures are counted"
        yield Reason("cut_off", "suspect", text, "let the run finish")


def fewer_trials(evidence: Evidence) -> Iterator[Reason]:
    """Repeats that were planned and are not there."""
    n_planned = int(plan_of(evidence.trace).get("n_trials") or 1)
    if 0 < len(evidence.trials) < n_planned:
        text = f"{len(evidence.trials)} of {n_planned} trials took place"
        yield Reason("fewer_trials", "suspect", text, "let all repeats finish: intervals are over trials")


CLIENT_RULES: tuple[Callable[[Evidence], Iterator[Reason]], ...] = (
    late_sends,
    not_delivered,
    lagging_stamps,
    merged_reads,
    client_starved,
    client_stalled,
    slow_disk,
    stolen_time,
    collector_pauses,
    clock_steps,
    cut_off,
    fewer_trials,
)

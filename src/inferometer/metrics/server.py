# SPDX-License-Identifier: Apache-2.0
"""What the server says of itself: its own times of each request, and its gauges beside what the client saw.

Rule 1: what the server did not tell, or nobody read, is NaN or Missing with the reason, never 0.
Rule 2: counters are compared over the whole run, from the reading before the first request to that after the last;
everything else is over the windows, as the client's figures are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from inferometer.metrics.fidelity import MAX_GUESSED_TEMPLATE, Numbers
from inferometer.metrics.latency import ttft_sent
from inferometer.metrics.registry import metric
from inferometer.metrics.rows import is_ok, plan_of, told
from inferometer.metrics.samples import counted, series, within
from inferometer.metrics.window import Window
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, exact
from inferometer.units import NS_PER_S

SOURCE = "server"
_TIMES = "a server that times its requests"
_NOT_READ = "its gauges were not read"


# --- of each request -----------------------------------------------------------------------------------------------


@metric(unit="s", better="lower", per="request", needs=_TIMES, depends=("prompt",))
def server_ttft(trace: Trace) -> FloatArray:
    """By the server's own clock, from the arrival of a request to its first token."""
    return _told_s(trace.requests, "server_ttft_ns")


@metric(unit="s", better="lower", per="request", needs=_TIMES)
def server_queue(trace: Trace) -> FloatArray:
    """By the server's own clock, from the arrival of a request until it was begun."""
    return _told_s(trace.requests, "server_queue_ns")


@metric(unit="s", better="lower", per="request", needs=_TIMES, depends=("prompt",))
def server_prefill(trace: Trace) -> FloatArray:
    """By the server's own clock, from the beginning of a request to its first token; waiting is not in it."""
    return _told_s(trace.requests, "server_prefill_ns")


@metric(unit="s/token", better="lower", per="request", needs=_TIMES)
def server_tpot(trace: Trace) -> FloatArray:
    """By the server's own clock, time per output token after the first."""
    n_tokens = told(trace.requests, "n_output_tokens")
    return _told_s(trace.requests, "server_decode_ns") / np.where(n_tokens >= 2, n_tokens - 1, np.nan)


@metric(unit="s", better="lower", per="request", needs=_TIMES)
def ttft_outside(trace: Trace) -> FloatArray:
    """Of the time to first token from sent, what is in none of the server's own times: network and client, and waiting
    for a slot where the server does not time it."""
    requests = trace.requests
    begun_s = _told_s(requests, "server_prefill_ns") + np.nan_to_num(_told_s(requests, "server_queue_ns"))
    whole_s = _told_s(requests, "server_ttft_ns")
    return np.asarray(ttft_sent(trace) - np.where(np.isnan(whole_s), begun_s, whole_s))


def _told_s(requests: Array, name: str) -> FloatArray:
    return told(requests, name) / NS_PER_S


# --- of the run ----------------------------------------------------------------------------------------------------


def server_numbers(trace: Trace, windows: Sequence[Window]) -> Numbers:
    """All that its gauges say, by name; nothing if nobody read them."""
    samples = trace.samples
    if not len(series(samples, SOURCE, "n_scrapes")[0]):
        return {}
    found: Numbers = {}
    for gauge, unit in (("requests_running", "requests"), ("requests_waiting", "requests"), ("kv_used_ratio", "ratio")):
        found[f"server_{gauge.removesuffix('_ratio')}_max{'_ratio' * (unit == 'ratio')}"] = _largest(
            within(samples, SOURCE, gauge, windows), unit
        )
    found["server_preemptions"] = _rise(samples, "n_preemptions", windows, "preemptions")
    found["server_prefix_hit_ratio"] = _share(samples, "n_prefix_hit_tokens", "n_prefix_queried_tokens", windows)
    found["server_prefix_excess_ratio"] = _prefix_excess(trace)
    for name in ("ttft", "queue", "tpot"):
        found |= _histogram(samples, name, windows)
    for name in ("prompt", "output"):
        found |= _tokens(trace, name)
    return found | _scrapes(samples, windows)


def _largest(values: FloatArray, unit: str) -> Estimate | Missing:
    if not len(values):
        return Missing("the server does not tell", 0, unit)
    return exact(float(values.max()), n=len(values), unit=unit, method="largest of its gauge as read in the windows")


def _rise(samples: Array, gauge: str, windows: Sequence[Window], unit: str) -> Estimate | Missing:
    """By how much a counter rose in the windows, linear between readings."""
    _, values = series(samples, SOURCE, gauge)
    if not len(values):
        return Missing("the server does not tell", 0, unit)
    if (np.diff(values) < 0).any():
        return Missing("the server's counters began anew during the run", len(values), unit)
    rise = counted(samples, SOURCE, gauge, windows)
    if rise is None:
        return Missing("needs 2 readings, has 1", 1, unit)
    return exact(rise, n=len(values), unit=unit, method="rise of its counter in the windows")


def _share(samples: Array, part: str, whole: str, windows: Sequence[Window]) -> Estimate | Missing:
    rises = [_rise(samples, name, windows, "ratio") for name in (part, whole)]
    for rise in rises:
        if isinstance(rise, Missing):
            return rise
    n_part, n_whole = (rise.value for rise in rises if isinstance(rise, Estimate))
    if n_whole <= 0:
        return Missing("needs prompt tokens, has none", 0, "ratio")
    return exact(n_part / n_whole, n=round(n_whole), unit="ratio", method="share of prompt tokens, by its counters")


def _over_run(samples: Array, gauge: str) -> float | None:
    """What a counter rose by from the first reading to the last; None where it was not told, or began anew."""
    _, values = series(samples, SOURCE, gauge)
    if len(values) < 2 or (np.diff(values) < 0).any():
        return None
    return float(values[-1] - values[0])


def _tokens(trace: Trace, name: str) -> Numbers:
    """Tokens by the server's counter and by its answers to us, and by how many these differ, over the whole run."""
    n_counted = _over_run(trace.samples, f"n_{name}_tokens")
    if n_counted is None:
        return {f"server_{name}_tokens": Missing("the server does not tell", 0, "tokens")}
    method = "rise of its counter from before the first request to after the last"
    found: Numbers = {f"server_{name}_tokens": exact(n_counted, n=1, unit="tokens", method=method)}
    sent = trace.requests[trace.requests["t_sent_ns"] != NEVER]
    n_tokens = sent[f"n_{name}_tokens"]
    n_open = int((~is_ok(sent) | (n_tokens < 0)).sum())
    if n_open:
        reason = f"{n_open} requests did not end well, or were not counted: what the server did for them is not known"
        found[f"server_{name}_tokens_more"] = Missing(reason, len(sent), "tokens")
    else:
        n_ours = float(n_tokens.sum())
        method = f"its counter less the sum of its answers' usage, {n_ours:.0f}, warm-up included"
        found[f"server_{name}_tokens_more"] = exact(n_counted - n_ours, n=len(sent), unit="tokens", method=method)
    return found


def _prefix_excess(trace: Trace) -> Estimate | Missing:
    """Prefix hits by the counters beyond what templates and shared prefixes explain, as a share of the prompts."""
    n_hits, n_queried = (_over_run(trace.samples, f"n_prefix_{what}_tokens") for what in ("hit", "queried"))
    if n_hits is None or not n_queried:
        return Missing("the server does not tell", 0, "ratio")
    plan = plan_of(trace)
    template = plan.get("n_template_tokens")
    n_expected = (MAX_GUESSED_TEMPLATE if template is None else template) + int(plan.get("shared_prefix") or 0)
    n_sent = int((trace.requests["t_sent_ns"] != NEVER).sum())
    share = max(n_hits - n_expected * n_sent, 0.0) / n_queried
    return exact(share, n=round(n_queried), unit="ratio", method="share of prompt tokens, by its counters over the run")


# --- histograms ----------------------------------------------------------------------------------------------------

_QUANTILES = (("p50", 0.5), ("p99", 0.99))


def _histogram(samples: Array, name: str, windows: Sequence[Window]) -> Numbers:
    """Mean, median and p99 of what a histogram took in during the windows; nothing where there is no histogram."""
    unit = "s/token" if name == "tpot" else "s"
    n, sum_s = (_rise(samples, gauge, windows, unit) for gauge in (f"n_{name}", f"{name}_sum_s"))
    if isinstance(n, Missing):
        return {f"server_{name}_mean_s": n}
    if round(n.value) < 1:
        return {f"server_{name}_mean_s": Missing("its histogram took in nothing in the windows", 0, unit)}
    found: Numbers = {}
    if isinstance(sum_s, Estimate):
        method = "sum over count of its histogram, over the windows"
        found[f"server_{name}_mean_s"] = exact(sum_s.value / n.value, n=round(n.value), unit=unit, method=method)
    bounds_s, counts = _buckets(samples, name, windows)
    for statistic, q in _QUANTILES:
        found[f"server_{name}_{statistic}_s"] = in_buckets(bounds_s, counts, n.value, q, unit)
    return found


def _buckets(samples: Array, name: str, windows: Sequence[Window]) -> tuple[FloatArray, FloatArray]:
    """Upper bounds (s), and how many observations below each came in during the windows."""
    pattern = re.compile(rf"n_{name}_le_(\S+)")
    gauges = set(samples["gauge"][samples["source"] == SOURCE])
    bounds = sorted((float(match[1]), gauge) for gauge in gauges if (match := pattern.fullmatch(gauge)))
    counts = [counted(samples, SOURCE, gauge, windows) or 0.0 for _, gauge in bounds]
    return np.array([bound_s for bound_s, _ in bounds]), np.array(counts)


def in_buckets(bounds_s: FloatArray, counts: FloatArray, n: float, q: float, unit: str) -> Estimate | Missing:
    """A quantile out of cumulative counts: linear within its bucket, whose bounds are its interval.

    Shapes: bounds_s, counts float64[n_buckets], both rising; `n`: all observations, those beyond the last bound too.
    """
    method = "linear within a bucket of its histogram; the interval is that bucket"
    at = int(np.searchsorted(counts, q * n))
    lo = float(bounds_s[at - 1]) if at else 0.0
    if at == len(bounds_s):
        if not at:
            return Missing("its histogram has no buckets", round(n), unit)
        return Missing(f"lies beyond {lo:g} s, the last bound of its histogram", round(n), unit)
    hi, below = float(bounds_s[at]), float(counts[at - 1]) if at else 0.0
    inside = float(counts[at]) - below
    value = lo + (hi - lo) * (q * n - below) / inside if inside > 0 else hi
    return Estimate(value, lo, hi, LEVEL, round(n), unit, method)


# --- the readings themselves ---------------------------------------------------------------------------------------


def _scrapes(samples: Array, windows: Sequence[Window]) -> Numbers:
    """How long readings took, how many failed, and what reading cost this machine."""
    taken_s = within(samples, SOURCE, "scrape_s", windows)
    found: Numbers = {}
    for statistic, q in (("p50", 0.5), ("max", 1.0)):
        name = f"server_scrape_{statistic}_s"
        if not len(taken_s):
            found[name] = Missing(_NOT_READ, 0, "s")
        else:
            method = "of the readings in the windows"
            found[name] = exact(float(np.quantile(taken_s, q)), n=len(taken_s), unit="s", method=method)
    _, n_failed = series(samples, SOURCE, "n_scrape_failures")
    found["server_scrape_failures"] = exact(float(n_failed[-1]), n=len(n_failed), unit="readings", method="counted")
    used_s, span_s = counted(samples, "scraper", "cpu_s", windows), sum(window.span_s for window in windows)
    if used_s is not None and span_s > 0:
        method = "CPU time of the process that reads them / length of the windows"
        found["scraper_cpu_ratio"] = exact(used_s / span_s, n=len(taken_s), unit="ratio", method=method)
    return found

# SPDX-License-Identifier: Apache-2.0
"""The block that sets what the server says of itself beside what the client saw: times, load, tokens, the readings.

Rule 1: what was not measured says so, with the reason and what to do about it; a run of before gauges says nothing.
Rule 2: times are means, for these add up: first token = waiting + prefill + what lies outside the server's clock.
"""

from __future__ import annotations

from inferometer.metrics.summary import Summary
from inferometer.report.distributions import INDENT
from inferometer.report.figures import figure_text, scale_of, value_text
from inferometer.report.layout import filled
from inferometer.stats import Estimate


def server_lines(summary: Summary, width: int) -> list[str]:
    """A line for each of times, load, tokens and readings, as far as they are known."""
    lines: list[str] = []
    for parts in server_parts(summary):
        lines += filled("" if lines else "server", parts, width=width, indent=INDENT)
    return lines


def server_parts(summary: Summary) -> list[list[str]]:
    """The parts of each of these lines."""
    rows = [_times(summary), *([_load(summary), _tokens(summary), _readings(summary)] if summary.server else [])]
    return [parts for parts in (*rows, _not_measured(summary)) if parts]


def _not_measured(summary: Summary) -> list[str]:
    """Why gauges are not there, and why readings failed."""
    reason, error = (str(summary.gauges.get(name) or "") for name in ("not_measured", "last_error"))
    if reason:
        return [f"its own gauges: not measured: {reason}"]
    return [f"last reading that failed: {error}"] if error else []


def _times(summary: Summary) -> list[str]:
    """`first token 56 [55, 58] ms from sent (means of 9 requests): 49 [48, 50] ms prefill by its own clock, ...`."""
    seen = _mean(summary, "ttft_sent_s")
    parts = _times_of_requests(summary) or _times_of_histograms(summary)
    if seen is None or not parts:
        return []
    shown = [words.format(_in(number, seen)) for words, number in parts]
    return [f"first token {_in(seen, seen)} from sent (means of {seen.n:,} requests): {', '.join(shown)}"]


def _times_of_requests(summary: Summary) -> list[tuple[str, Estimate]]:
    """What it told of each request."""
    names = ("server_ttft_s", "server_queue_s", "server_prefill_s", "ttft_outside_s")
    whole, queue, prefill, outside = (_mean(summary, name) for name in names)
    if outside is None:
        return []
    waits = ", waiting to be begun" if whole is None and queue is None else ""
    parts = (
        ("{} by its own clock", whole),
        ("{} of it waiting" if whole is not None else "{} waiting", queue),
        ("{} prefill by its own clock", prefill if whole is None else None),
        (f"{{}} outside it (network, client{waits})", outside),
    )
    return [(words, number) for words, number in parts if number is not None]


def _times_of_histograms(summary: Summary) -> list[tuple[str, Estimate]]:
    """What it added up over all requests that it had in the windows."""
    whole, queue = (_number(summary, f"server_{name}_mean_s") for name in ("ttft", "queue"))
    parts = (("{} by its own clock, over all it served", whole), ("{} of it waiting", queue))
    return [(words, number) for words, number in parts if number is not None] if whole is not None else []


def _load(summary: Summary) -> list[str]:
    """`running 4 at most`, `waiting 0`, `KV cache 31 % full at most`, `preempted 2`, `prefix hits 1.0 % of prompts`."""
    shown = (
        ("server_requests_running_max", "running {} at most"),
        ("server_requests_waiting_max", "waiting {} at most"),
        ("server_kv_used_max_ratio", "KV cache {} full at most"),
        ("server_preemptions", "preempted {} times"),
        ("server_prefix_hit_ratio", "prefix cache hits {} of the prompt tokens"),
    )
    return [words.format(_size(number)) for name, words in shown if (number := _number(summary, name)) is not None]


def _tokens(summary: Summary) -> list[str]:
    """`tokens counted: 10,604 in, 4,074 out, as its answers tell`; where they differ, by how many."""
    counted = [_number(summary, f"server_{name}_tokens") for name in ("prompt", "output")]
    more = [_number(summary, f"server_{name}_tokens_more") for name in ("prompt", "output")]
    told = [f"{number.value:,.0f} {word}" for number, word in zip(counted, ("in", "out"), strict=True) if number]
    if not told:
        return []
    differs = [number is not None and number.value != 0 for number in more]
    if any(differs):
        by = [f"{number.value:+,.0f} {word}" for number, word in zip(more, ("in", "out"), strict=True) if number]
        end = f"; its answers tell otherwise: {', '.join(by)}"
    else:
        end = ", as its answers tell" if all(number is not None for number in more) else ""
    return [f"tokens counted {', '.join(told)}{end}"]


def _readings(summary: Summary) -> list[str]:
    """`read 31 times, in 1.7 ms (median), 4.9 ms at most`."""
    taken, longest = _number(summary, "server_scrape_p50_s"), _number(summary, "server_scrape_max_s")
    if taken is None or longest is None:
        return []
    parts = [f"read {taken.n:,} times, in {value_text(taken)} (median), {value_text(longest)} at most"]
    failures, cost = _number(summary, "server_scrape_failures"), _number(summary, "scraper_cpu_ratio")
    if failures is not None and failures.value:
        parts.append(f"{failures.value:,.0f} readings failed")
    if cost is not None:
        parts.append(f"reading took {value_text(cost)} of a core")
    return parts


def _mean(summary: Summary, metric: str) -> Estimate | None:
    found = summary.metrics[metric].get("mean")
    return found if isinstance(found, Estimate) else None


def _number(summary: Summary, name: str) -> Estimate | None:
    found = summary.server.get(name)
    return found if isinstance(found, Estimate) else None


def _size(number: Estimate) -> str:
    """A share in percent, a count as a whole number; its unit stands in the words around it."""
    return value_text(number) if number.unit == "ratio" else f"{number.value:,.0f}"


def _in(number: Estimate, whole: Estimate) -> str:
    """With its interval, in the unit of the whole, so that parts can be added up by eye."""
    return figure_text(number, scale_of([whole]))

# SPDX-License-Identifier: Apache-2.0
"""The screen of a run: whether it can be trusted, what was asked and served, the numbers, what to do about each doubt.

Rule 1: the verdict comes first and colour only repeats it; every number has its unit, and its interval if it has one.
Rule 2: names are cut, paths and commands never: they are there to be copied.
Rule 3: nothing is computed here. What a line needs is in the summary, or is not printed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from inferometer.metrics.reason import Reason
from inferometer.metrics.summary import Summary
from inferometer.metrics.verdict import Verdict
from inferometer.report.caches import caches_parts
from inferometer.report.distributions import INDENT, distribution_lines
from inferometer.report.figures import PLAIN, figure_text, value_text
from inferometer.report.layout import columns, cut_middle, filled, painted, printable
from inferometer.report.server import server_lines
from inferometer.stats import Estimate, Missing
from inferometer.units import format_span

MAX_NAME = 48  # columns of a model's or an engine's name
MAX_REASONS = 6  # on the screen; all of them are in the other formats
_MEANING = {
    "valid": "nothing was found that would spoil these numbers",
    "suspect": "read these numbers with the doubts below",
    "invalid": "do not use these numbers",
}
_VALID_WITH_DOUBTS = "ttft, tpot and e2e stand; there are doubts about other numbers"
_RATES = (
    ("request_throughput_per_s", "requests/s"),
    ("output_throughput_tokens_per_s", "output tokens/s"),
    ("input_throughput_tokens_per_s", "input tokens/s"),
)
_FIDELITY = (
    ("lateness_p99_s", "sent late p99"),
    ("read_lag_p99_s", "read late p99"),
    ("merged_ratio", "merged gaps"),
    ("client_run_delay_ratio", "waited for a CPU"),
    ("steal_ratio", "stolen"),
)
_OUTCOMES = (  # of kinds.Outcome, all that is not a success, in the order in which they are told
    "truncated",
    "http_status",
    "engine_error",
    "protocol",
    "dns",
    "tls",
    "refused",
    "connect_timeout",
    "stalled",
    "deadline",
    "reset",
    "cancelled",
    "censored",
    "not_sent",
)


def render(
    summary: Summary,
    *,
    run_path: str = "",
    width: int = 100,
    is_colour: bool = False,
    next_command: str = "",
) -> str:
    """The whole report as text. `next_command`: what is most useful now; by default, to look at single requests."""
    if run_path and not next_command:
        next_command = f"inferometer show {shlex.quote(run_path)} --slowest 5"
    blocks = [
        _verdict_lines(summary, width, is_colour),
        _run_lines(summary, width),
        distribution_lines(summary, width),
        [
            *_rate_lines(summary, width),
            *_limit_lines(summary, is_colour),
            *_client_lines(summary, width),
            *server_lines(summary, width),
        ],
        _remedy_lines(summary, width),
        _path_lines(run_path, next_command),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


# --- the verdict ---------------------------------------------------------------------------------------------------


def _verdict_lines(summary: Summary, width: int, is_colour: bool) -> list[str]:
    """The level and what it means, then the reasons in numbers, worst first."""
    level, reasons, meaning = summary.verdict.level, summary.verdict.reasons, meaning_of(summary.verdict)
    lines = [f"{painted(level.upper(), level, is_colour=is_colour)}{' ' * (INDENT - len(level))}{meaning}"]
    for reason in reasons[:MAX_REASONS]:
        first, *rest = _labelled(reason.level, [reason.text], width)
        lines += [first.replace(reason.level, painted(reason.level, reason.level, is_colour=is_colour), 1), *rest]
    if len(reasons) > MAX_REASONS:
        lines += _labelled("", [f"and {len(reasons) - MAX_REASONS} more, see --format json"], width)
    return lines


def meaning_of(verdict: Verdict) -> str:
    """What a level says about the numbers, in words."""
    return _VALID_WITH_DOUBTS if verdict.level == "valid" and verdict.reasons else _MEANING[verdict.level]


def _remedy_lines(summary: Summary, width: int) -> list[str]:
    """What to do about each reason, said once; then remarks of those who asked the server and made the plan."""
    by_remedy: dict[str, list[Reason]] = {}
    for reason in summary.verdict.reasons[:MAX_REASONS]:
        by_remedy.setdefault(reason.remedy, []).append(reason)
    lines = []
    for remedy, reasons in by_remedy.items():
        codes = ", ".join(dict.fromkeys(reason.code for reason in reasons))
        lines += _labelled("warning", [f"{codes} -> {remedy}"], width)
    for facts in (summary.plan, summary.engine):
        for note in facts.get("notes") or ():
            lines += _labelled("note", [str(note)], width)
    return lines


# --- what was asked and served -------------------------------------------------------------------------------------


def _run_lines(summary: Summary, width: int) -> list[str]:
    return [
        line
        for label, parts in (
            ("engine", engine_parts(summary)),
            ("asked", asked_parts(summary)),
            ("served", served_parts(summary)),
            ("caches", caches_parts(summary)),
        )
        if parts
        for line in _labelled(label, parts, width)
    ]


def engine_parts(summary: Summary) -> list[str]:
    """`llama.cpp b6712`, `tiny-10m at http://127.0.0.1:8080`: names cut to what one line can hold, the URL never."""
    engine = summary.engine
    name, version = (str(engine.get(key) or "") for key in ("title", "version"))
    model, url = (str(engine.get(key) or "") for key in ("model", "url"))
    software = cut_middle(f"{name or engine.get('name') or ''} {version}".strip(), MAX_NAME)
    served = f"{cut_middle(model, MAX_NAME)} at {url}" if model and url else cut_middle(model, MAX_NAME) or url
    return [part for part in (software, served) if part]


def asked_parts(summary: Summary) -> list[str]:
    """`closed loop, 4 in flight`, `5 trials of 40 s after 8 requests of warm-up`, `128 tokens in, 64 out`."""
    plan = summary.plan
    if not plan:
        return []
    shared = f" ({plan['shared_prefix']:,} shared)" if plan.get("shared_prefix") else ""
    streamed = "" if plan.get("is_streamed", True) else ", not streamed"
    inputs = str(plan.get("input_tokens") or "?")
    prompts = f"prompts of {inputs[5:]}" if inputs.startswith("file:") else f"{inputs} tokens in"
    tokens = f"{prompts}{shared}, {plan.get('output_tokens') or '?'} out{streamed}"
    source = f"lengths exact by {plan['lengths_from']}" if plan.get("lengths_from") else ""
    return [part for part in (str(plan.get("law") or ""), _length_text(summary), tokens, source) if part]


def _length_text(summary: Summary) -> str:
    plan = summary.plan
    text = ""
    if plan.get("duration_s") is not None:
        text = format_span(float(plan["duration_s"]))
    elif plan.get("n_requests") is not None:
        text = f"{plan['n_requests']:,} requests"
    if int(plan.get("n_trials") or 1) > 1:
        text = f"{plan['n_trials']} trials of {text}"
    if plan.get("warmup_s"):
        text += f" after {format_span(float(plan['warmup_s']))} of warm-up"
    elif plan.get("n_warmup"):
        text += f" after {plan['n_warmup']:,} warm-up requests"
    return text


def served_parts(summary: Summary) -> list[str]:
    """`491 requests: 489 ok, 2 failed (1 stalled, 1 reset)`, `4.00/s offered, 3.99/s delivered`."""
    counts = summary.counts
    text = f"{counts['planned']:,} requests: {counts['ok']:,} ok, {counts['failed']:,} failed"
    if counts["unfinished"]:
        text += f", {counts['unfinished']:,} unfinished"
    what = [f"{counts[name]:,} {name.replace('_', ' ')}" for name in _OUTCOMES if counts.get(name)]
    parts = [text + (f" ({', '.join(what)})" if what else "")]
    if counts["failed"]:
        parts.append(f"error rate {figure_text(_value(summary, 'error_ratio'))}")
    offered, delivered = _value(summary, "offered_per_s"), _value(summary, "delivered_per_s")
    if isinstance(offered, Estimate):
        parts.append(f"{value_text(offered)} offered, {value_text(delivered)} delivered")
    for name, words in (("prompt_length_off", "prompts"), ("output_length_off", "answers")):
        if counts.get(name):
            parts.append(f"{counts[name]:,} {words} not of the length asked for")
    return parts


# --- numbers of the run as a whole ---------------------------------------------------------------------------------


def _rate_lines(summary: Summary, width: int) -> list[str]:
    """Throughput over the steady window, load, smoothness; nothing where nothing succeeded."""
    if not summary.counts["ok"]:
        return []
    rates = [_in_words(_value(summary, name), words) for name, words in _RATES]
    if summary.limits.per_request:
        rates.append(_in_words(_value(summary, "goodput_per_s"), "requests/s within limits"))
    load = [_in_words(_value(summary, "in_flight_requests"), "in flight")]
    speed = summary.metrics["user_speed_tokens_per_s"]["p50"]
    if isinstance(speed, Estimate):
        load.append(_in_words(speed, "tokens/s per user (median)"))
    if isinstance(little := _value(summary, "little_law_ratio"), Estimate):
        load.append(f"Little's law {value_text(little, PLAIN)}")
    return [
        *_labelled("rates", rates, width),
        *_labelled("load", load, width),
        *_labelled("smooth", _smoothness_parts(summary), width),
    ]


def _smoothness_parts(summary: Summary) -> list[str]:
    pause, wait = _value(summary, "longest_pause_s"), summary.metrics["underrun_s"].get("p95")
    if isinstance(pause, Missing):
        return [f"- ({pause.reason})"]
    parts = [
        f"stalls {figure_text(_value(summary, 'stalls_per_1000_tokens'))}",
        f"longest pause {value_text(pause)}",
    ]
    return parts + ([f"a reader waits {value_text(wait)} (p95)"] if isinstance(wait, Estimate) else [])


def _limit_lines(summary: Summary, is_colour: bool) -> list[str]:
    """A line for each limit and how it came out; for those on every request, one for all of them together."""
    limits = summary.limits
    rows = [(limit.text, "met by", _share_text(share)) for limit, share in limits.per_request]
    if limits.per_request:
        rows.append(("all of these", "met by", _share_text(_value(summary, "attainment_ratio"))))
    rows += [(result.limit.text, result.result.upper(), figure_text(result.observed)) for result in limits.per_run]
    lines = columns(rows, "<<<", indent=INDENT)
    lines[:1] = ["limits".ljust(INDENT) + line[INDENT:] for line in lines[:1]]
    for word, colour in (("PASS", "valid"), ("FAIL", "invalid"), ("UNDECIDED", "suspect")):
        lines = [line.replace(f"  {word}  ", f"  {painted(word, colour, is_colour=is_colour)}  ") for line in lines]
    return lines


def _share_text(share: Estimate | Missing) -> str:
    return figure_text(share) + (" of requests" if isinstance(share, Estimate) else "")


def _client_lines(summary: Summary, width: int) -> list[str]:
    """How true the stamps are: the few numbers of fidelity that a person looks at."""
    parts = [
        f"{words} {value_text(number)}"
        for name, words in _FIDELITY
        if isinstance(number := summary.fidelity.get(name), Estimate)
    ]
    stamps = summary.fidelity.get("kernel_stamped_ratio")
    if summary.stamps == "user":
        parts.append("no kernel stamps, its own clock instead")
    elif isinstance(stamps, Estimate):
        parts.append(f"kernel stamps on {value_text(stamps)} of reads")
    return _labelled("client", parts, width) if parts else []


def _path_lines(run_path: str, next_command: str) -> list[str]:
    lines = [f"{'folder'.ljust(INDENT)}{printable(run_path)}"] if run_path else []
    return lines + ([f"{'next'.ljust(INDENT)}{printable(next_command)}"] if next_command else [])


# --- small things --------------------------------------------------------------------------------------------------


def _value(summary: Summary, name: str) -> Estimate | Missing:
    return summary.metrics[name]["value"]


def _in_words(estimate: Estimate | Missing, words: str) -> str:
    """`783 [775, 790] output tokens/s`, `output tokens/s - (needs token counts)`."""
    if isinstance(estimate, Missing):
        return f"{words} {figure_text(estimate)}"
    return f"{figure_text(estimate, PLAIN)} {words}"


def _labelled(label: str, parts: Sequence[str], width: int) -> list[str]:
    return filled(label, parts, width=width, indent=INDENT)

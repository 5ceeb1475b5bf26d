# SPDX-License-Identifier: Apache-2.0
"""How true the records are, in numbers: lateness, read lag, merged reads, starved processes, lengths not honoured.

Rule: numbers only; what they mean for a metric is decided in `reasons_*`. What was not sampled is Missing, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferometer.metrics.absences import absences
from inferometer.metrics.latency import lateness, read_lag
from inferometer.metrics.rows import Mask, is_counted, is_ok, plan_of, told
from inferometer.metrics.samples import counted, last, of_worst, sources_of, within
from inferometer.metrics.tokens import token_chunks
from inferometer.metrics.window import Window
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import Estimate, FloatArray, Missing, exact, n_needed, quantile
from inferometer.units import NS_PER_S

Numbers = dict[str, Estimate | Missing]
# Longest constant beginning of a chat template that is taken for granted where its length is not known: no more than
# such a beginning usually is, and than a small part of the prompt, else repeated prompts would pass for a template.
MAX_GUESSED_TEMPLATE = 32
MAX_GUESSED_SHARE = 0.25
# Shortest window over which a counter sampled once a second is read: below, how it is interpolated is what one sees.
MIN_SAMPLED_S = 5.0


def fidelity_numbers(trace: Trace, windows: Sequence[Window]) -> Numbers:
    """All numbers about the measurement itself, by name."""
    return _stamps(trace, windows) | _machine(trace, windows) | _answers(trace)


# -- stamps -----------------------------------------------------------------------------------------------------------


def _stamps(trace: Trace, windows: Sequence[Window]) -> Numbers:
    late = lateness(trace)[is_counted(trace.requests)]
    # Without kernel stamps both stamps of a chunk are the client's, and their difference says nothing.
    lags = np.zeros(0) if is_user_stamped(trace) else read_lag(trace)
    found = _tail("lateness", late[~np.isnan(late)], "requests") | _tail("read_lag", lags, "kernel-stamped chunks")
    found["merged_ratio"] = merged_ratio(trace)
    for name, gauge in (("stamped", "n_kernel_stamped"), ("rejected", "n_stamps_rejected")):
        n_stamps, n_reads = of_worst(trace.samples, gauge, windows, per="n_reads", is_low_bad=name == "stamped")
        found[f"kernel_{name}_ratio"] = _ratio(n_stamps, n_reads, "reads")
    clock = trace.meta.get("clock") or {}
    if "n_steps" in clock:
        found["clock_steps"] = exact(clock["n_steps"], n=1, unit="steps", method="wall clock against monotonic")
    return found


def is_user_stamped(trace: Trace) -> bool:
    """Were receive stamps taken in user space? As recorded; a run cut off before that is told by its samples."""
    said = trace.meta.get("stamps")
    if said:
        return bool(said == "user")
    n_reads, n_stamped = (
        [last(trace.samples, name, gauge) for name in sources_of(trace.samples, "client")]
        for gauge in ("n_reads", "n_kernel_stamped")
    )
    return any(n_reads) and not any(n_stamped)


def _tail(name: str, values: FloatArray, of: str) -> Numbers:
    """Median, p99 and largest of what this run had: facts about it, not estimates."""
    found: Numbers = {}
    for statistic, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        n_least = n_needed(q) if q < 1 else 1
        if len(values) < n_least:
            found[f"{name}_{statistic}_s"] = Missing(f"needs {n_least} {of}, has {len(values)}", len(values), "s")
        else:
            value = float(np.quantile(values, q))
            found[f"{name}_{statistic}_s"] = exact(value, n=len(values), unit="s", method=f"of {of} in this run")
    return found


def merged_ratio(trace: Trace) -> Estimate | Missing:
    """Share of the gaps whose two chunks came with one read: such a gap is 0, and one beside it too long."""
    chunks = token_chunks(trace)
    if not len(chunks.at):
        return Missing("needs 1 gap, has 0", 0, "ratio")
    read_ids = trace.chunks["read_id"][chunks.at]
    same = np.zeros(len(read_ids), bool)
    np.equal(read_ids[1:], read_ids[:-1], out=same[1:])
    same[chunks.starts] = False
    return _ratio(int(same.sum()), len(same) - len(chunks.starts), "gaps")


# -- the machine ------------------------------------------------------------------------------------------------------


def _machine(trace: Trace, windows: Sequence[Window]) -> Numbers:
    samples, n = trace.samples, len(trace.samples)
    wall_s = sum(window.span_s for window in windows)
    found: Numbers = {}
    if windows and wall_s < MIN_SAMPLED_S * len(windows):
        why = f"needs a window of {MIN_SAMPLED_S:.0f} s, has {wall_s / len(windows):.2g} s"
        found = {name: Missing(why, n, "ratio") for name in _MACHINE_RATIOS}
        return found | _longest_pass(samples, windows) | _away(trace, windows)
    for name, gauge in _CLIENT_GAUGES.items():
        spent_s, _ = of_worst(samples, gauge, windows)
        found[f"client_{name}_ratio"] = _ratio(spent_s, wall_s, "wall time", n)
    n_cores = last(samples, "host", "n_cores")
    capacity_s = wall_s * n_cores if n_cores else None
    found["steal_ratio"] = _ratio(counted(samples, "host", "steal_s", windows), capacity_s, "the machine's time", n)
    found["host_busy_ratio"] = _ratio(
        counted(samples, "host", "cpu_busy_s", windows), capacity_s, "the machine's time", n
    )
    ran_s = counted(samples, "engine", "cpu_s", windows)
    waited_s = _waited_for_others(trace, windows, ran_s)
    wanted_s = None if waited_s is None or ran_s is None else waited_s + ran_s
    # Of the time it wanted to run: how much slower it was. Of the window: how much of a request that can concern.
    found["engine_run_delay_ratio"] = _ratio(waited_s, wanted_s, "the time the engine wanted to run", n)
    found["engine_waited_ratio"] = _ratio(waited_s, wall_s, "wall time", n)
    return found | _longest_pass(samples, windows) | _away(trace, windows)


_CLIENT_GAUGES = {"run_delay": "run_delay_s", "gc": "gc_pause_s", "cpu": "cpu_s", "write": "write_s"}
_MACHINE_RATIOS = (
    *(f"client_{name}_ratio" for name in _CLIENT_GAUGES),
    "steal_ratio",
    "host_busy_ratio",
    "engine_run_delay_ratio",
    "engine_waited_ratio",
)


def _longest_pass(samples: Array, windows: Sequence[Window]) -> Numbers:
    of_workers = [within(samples, name, "pass_max_s", windows) for name in sources_of(samples, "client")]
    medians = [(quantile(np.sort(longest), 0.5), len(longest)) for longest in of_workers if len(longest)]
    if not medians:
        return {}
    longest_s, n = max(medians)
    method = "median over seconds of the longest pass of the driving loop"
    return {"pass_typical_max_s": exact(longest_s, n=n, unit="s", method=method)}


def _away(trace: Trace, windows: Sequence[Window]) -> Numbers:
    """The longest absence of the driving loop. Recorders that did not write absences down had no `write_s` either."""
    samples = trace.samples
    if all(last(samples, name, "write_s") is None for name in sources_of(samples, "client")):
        return {"client_away_max_s": Missing("was not sampled", 0, "s")}
    lengths_ns = absences(trace, windows).lengths_ns
    longest_s = float(lengths_ns.max(initial=0)) / NS_PER_S
    method = "longest time away from the sockets; 0: none of more than 10 ms"
    return {"client_away_max_s": exact(longest_s, n=len(lengths_ns), unit="s", method=method)}


def _waited_for_others(trace: Trace, windows: Sequence[Window], ran_s: float | None) -> float | None:
    """How long the engine's threads were ready and had no CPU because somebody else had it, at most.

    The kernel counts waiting, not for whom. An engine with more threads than cores waits for itself; the rest cannot be
    longer than others ran: all CPU time of the machine but the engine's own, and but the client's where it has a core
    to itself.
    """
    samples = trace.samples
    waited_s = counted(samples, "engine", "run_delay_s", windows)
    busy_s = counted(samples, "host", "cpu_busy_s", windows)
    if waited_s is None or ran_s is None or busy_s is None:
        return waited_s
    is_apart = (trace.meta.get("client") or {}).get("core") is not None
    client_s = (counted(samples, "client", "cpu_s", windows) or 0.0) if is_apart else 0.0
    return min(waited_s, max(0.0, busy_s - ran_s - client_s))


def _ratio(part: float | None, whole: float | None, of: str, n: float | None = None) -> Estimate | Missing:
    """`n`: how many things were counted, where that is not the whole itself."""
    if part is None or whole is None:
        return Missing("was not sampled", 0, "ratio")
    if whole <= 0:
        return Missing(f"needs {of}, has none", 0, "ratio")
    return exact(part / whole, n=round(whole if n is None else n), unit="ratio", method=f"share of {of}")


# -- the answers ------------------------------------------------------------------------------------------------------


def _answers(trace: Trace) -> Numbers:
    rows = trace.requests[is_counted(trace.requests) & is_ok(trace.requests)]
    found: Numbers = {
        "input_length_error_ratio": length_error(rows, "n_prompt_tokens"),
        "output_length_error_ratio": length_error(rows, "n_output_tokens"),
        "prefix_excess_ratio": prefix_excess(rows, trace),
    }
    n_counted = int(is_counted(trace.requests).sum())
    for name, mask in answer_faults(trace.requests).items():
        found[f"{name}_ratio"] = _ratio(int(mask.sum()), n_counted, "requests")
    return found


def length_error(rows: Array, name: str) -> Estimate | Missing:
    """Tokens too many or too few, as a share of the tokens asked for; over the answers that tell their count."""
    rows = rows[(rows[name] >= 0) & (rows[f"{name}_asked"] > 0)]
    asked = rows[f"{name}_asked"].astype(np.float64)
    wrong = float(np.abs(rows[name] - asked).sum())
    return _ratio(wrong, float(asked.sum()), "tokens asked for", len(rows))


def prefix_excess(rows: Array, trace: Trace) -> Estimate | Missing:
    """Cached prompt tokens beyond the chat template's own beginning and the shared prefix, as a share of the prompts.

    Where the template's length is not known, the smallest hit seen stands for it, up to 32 tokens and a quarter of the
    median prompt.
    """
    rows = rows[(rows["n_cached_tokens"] >= 0) & (rows["n_prompt_tokens"] > 0)]
    if not len(rows):
        return Missing("needs cached-token counts; the server told none", 0, "ratio")
    plan, cached = plan_of(trace), rows["n_cached_tokens"]
    template = plan.get("n_template_tokens")
    if template is None:
        most = int(min(MAX_GUESSED_TEMPLATE, MAX_GUESSED_SHARE * float(np.median(rows["n_prompt_tokens"]))))
        template = int(cached[cached > 0].min(initial=most))
    excess = np.maximum(cached - template - int(plan.get("shared_prefix") or 0), 0)
    return _ratio(float(excess.sum()), float(rows["n_prompt_tokens"].sum()), "prompt tokens", len(rows))


def answer_faults(requests: Array) -> dict[str, Mask]:
    """Counted answers that are not what they should be. Shapes: bool[n_requests] each.

    swallowed: tokens in usage, no text in the stream; hidden_reasoning: reasoning tokens in usage, none in the stream;
    in_one_piece: an answer that did not come as a stream; uncounted: a success without a token count.
    """
    counted_rows, ok = is_counted(requests), is_ok(requests)
    streamed = requests["t_first_content_ns"] != NEVER
    has_text = requests["t_last_content_ns"] != NEVER
    reasons = np.nan_to_num(told(requests, "n_reasoning_tokens")) > 0
    shows_none = requests["t_first_answer_ns"] == requests["t_first_content_ns"]
    return {
        "swallowed": counted_rows & ~has_text & (requests["n_output_tokens"] > 0) & (requests["t_end_ns"] != NEVER),
        "hidden_reasoning": counted_rows & ok & streamed & reasons & shows_none,
        "in_one_piece": counted_rows & ok & ~streamed & has_text,
        "uncounted": counted_rows & ok & (requests["n_output_tokens"] < 0),
    }

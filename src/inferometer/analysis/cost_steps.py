# SPDX-License-Identifier: Apache-2.0
"""What a step of decoding takes for itself: others' prompts are computed in the same steps, and are work of their own.

    step as it is seen = step for itself + seconds per prompt token x tokens of others' prompts in it
    share of prompts in the device's time = seconds per prompt token x prompt tokens computed per second

Tokens in a step are counted, request by request; what one takes is measured with prompts alone.
"""

from __future__ import annotations

import numpy as np

from inferometer.metrics.rows import is_counted, is_ok, told
from inferometer.records import NEVER, Trace
from inferometer.stats import Estimate, FloatArray, Missing, difference, product


def new_prompt_tokens(trace: Trace) -> FloatArray:
    """Of each request, those that no cache had; NaN where nobody told. Shapes: float64[n_requests]."""
    return told(trace.requests, "n_prompt_tokens") - np.nan_to_num(told(trace.requests, "n_cached_tokens"))


def prompt_tokens_in_a_step(trace: Trace) -> float | None:
    """Tokens of others' prompts computed per step of an answer, mean over answers; None where tokens are not counted.

    A prompt is computed in the steps up to its answer's first token. One that ends in the very step of my first token
    is beside my prompt, not my answer: instants of one step are told apart from the next by half a step.
    """
    requests, n_new = trace.requests, new_prompt_tokens(trace)
    first, last, steps = (
        requests["t_first_content_ns"],
        requests["t_last_content_ns"],
        told(requests, "n_output_tokens"),
    )
    begun = first != NEVER
    is_told = ~np.isnan(n_new) & begun
    mine = is_counted(requests) & is_ok(requests) & (last > first) & (steps >= 2)
    if not is_told.any():
        return None
    if not mine.any():  # nor is there a time of a step
        return 0.0
    order = np.argsort(first[begun])
    ends = first[begun][order]
    sums = np.concatenate([[0.0], np.cumsum(np.where(is_told, n_new, n_new[is_told].mean())[begun][order])])
    steps = steps[mine] - 1
    half_ns = (last[mine] - first[mine]) / (2 * steps)
    until, since = (np.searchsorted(ends, at[mine] + half_ns, side="right") for at in (last, first))
    return float(((sums[until] - sums[since]) / steps).mean())


def for_itself(step: Estimate | Missing, prompt_token: Estimate | Missing, n_tokens: float) -> Estimate | Missing:
    """The step less so many tokens of prompts, both intervals carried through."""
    if n_tokens <= 0 or isinstance(step, Missing):
        return step
    taken = product([(prompt_token, 1)], unit=step.unit, method="others' prompts", scale=n_tokens)
    rest = difference(step, taken, method=f"{step.method}; less {n_tokens:.3g} tokens of others' prompts")
    if isinstance(rest, Missing):
        return Missing(f"others' prompts are in a step: {rest.reason}", rest.n, step.unit)
    if rest.value <= 0:
        return Missing(
            "others' prompts in a step would take all of it, at the pace that they have alone", rest.n, step.unit
        )
    return rest


def share_of_prompts(prompt_token: Estimate | Missing, rate: Estimate | Missing, n_tokens: float) -> Estimate | Missing:
    """Of the device's time. `rate`: requests per second, each with a prompt of so many tokens to compute."""
    method = "device time of prompts, at the pace that they have alone, over all time under the load"
    share = product([(prompt_token, 1), (rate, 1)], unit="ratio", method=method, scale=n_tokens)
    if isinstance(share, Missing):
        return share
    if share.value >= 1:
        return Missing("prompts would take more than all time, at the pace that they have alone", share.n, "ratio")
    return Estimate(share.value, share.lo, min(share.hi, 1.0), share.level, share.n, "ratio", method)

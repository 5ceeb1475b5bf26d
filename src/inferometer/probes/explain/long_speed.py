# SPDX-License-Identifier: Apache-2.0
"""Times and memory of prompts of one length, one request at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from inferometer.analysis.number import number_of
from inferometer.analysis.token_limits import Speed
from inferometer.experiment.subject import engine_pids
from inferometer.host.sample import EngineSampler
from inferometer.metrics.samples import series
from inferometer.probes.bench import Answered, Bench, Question
from inferometer.run_folder import Run
from inferometer.stats import Estimate, FloatArray, Missing, exact, quantile_estimate

_OUTPUT_TOKENS = 17  # one, and sixteen gaps
_SCRAPE_EVERY_S = 0.1


class Timed(NamedTuple):
    """`in_flight_s`: of the requests that were answered, in sum."""

    speed: Speed
    run: Run
    n_answered: int
    in_flight_s: float


def timed(bench: Bench, word: str, prompts: Sequence[str], size: int) -> Timed:
    """Ask them one after another; `size`: tokens that they aim at. Raises: as `Bench.ask`."""
    made = [Question(prompt, _OUTPUT_TOKENS) for prompt in prompts]
    found = bench.ask(word, made, forces_length=True, is_read=False, scrape_every_s=_SCRAPE_EVERY_S)
    answered = [one for one in found.answers if one.is_ok and one.ttft_s is not None]
    ttft = np.sort([one.ttft_s or 0.0 for one in answered])
    speed = Speed(
        _mean_tokens(answered, size),
        number_of(quantile_estimate(ttft, 0.5, unit="s", of="requests")),
        number_of(quantile_estimate(np.sort(_tpots(answered)), 0.5, unit="s/token", of="requests")),
        number_of(_kv_ratio(found.run)),
        number_of(_memory(bench)),
    )
    if len(ttft):
        bench.say(f"speed     {speed.n_tokens:,} tokens: first token after {np.median(ttft):.3g} s")
    return Timed(speed, found.run, len(answered), sum(one.e2e_s or 0.0 for one in answered))


def _memory(bench: Bench) -> Estimate | Missing:
    """Of the server's processes, as the kernel adds it up."""
    pids = engine_pids(bench.points.subject)
    if not pids:
        return Missing("its processes are not ours to see", 0, "bytes")
    sampler = EngineSampler(pids)
    try:
        found = dict(sampler.read()).get("pss_bytes")
    finally:
        sampler.close()
    if found is None:
        return Missing("the system does not tell", 0, "bytes")
    return exact(found, n=1, unit="bytes", method="memory of its processes, shared pages by their share")


def _mean_tokens(answered: list[Answered], size: int) -> int:
    counted = [one.n_prompt_tokens for one in answered if one.n_prompt_tokens is not None]
    return round(sum(counted) / len(counted)) if counted else size


def _tpots(answered: list[Answered]) -> FloatArray:
    return np.array(
        [
            (one.e2e_s - one.ttft_s) / (one.n_output_tokens - 1)
            for one in answered
            if one.e2e_s is not None and one.ttft_s is not None
            if one.n_output_tokens is not None and one.n_output_tokens > 1
        ]
    )


def _kv_ratio(run: Run) -> Estimate | Missing:
    """The most that was seen in use while the requests ran."""
    _, values = series(run.trace().samples, "server", "kv_used_ratio")
    if not len(values):
        return Missing("the server has no gauge of its KV cache", 0, "ratio")
    return exact(float(values.max()), n=len(values), unit="ratio", method="largest of the readings")

# SPDX-License-Identifier: Apache-2.0
"""How a configuration becomes a plan: lengths and schedule, how many requests to make, how far apart slots open."""

from __future__ import annotations

import math
import secrets
from functools import partial

from inferometer.clock import Clock
from inferometer.config import Experiment, Warmup
from inferometer.drive.loop import SWEEP_NS
from inferometer.engines.registry import dialects
from inferometer.errors import EngineError
from inferometer.host.ask import ServerFacts
from inferometer.host.control import Control
from inferometer.host.probe import probe
from inferometer.plan import make as planning
from inferometer.plan.lengths import parse_lengths
from inferometer.plan.request import Request, Sampling
from inferometer.plan.schedule import Schedule, burst, closed, open_loop, parse_arrivals
from inferometer.units import NS_PER_S

MIN_POOL = 128
MAX_RESERVE = 64  # idle connections beside the two that every open loop keeps
MAX_ALONE_TOKENS = 64  # of the request that is timed alone
_N_FIRST_WORDS = 64  # of the request before it, which tells how many tokens a word has
MAX_POOL = 50_000  # prompts made for a closed loop that time ends; past it they are used again


def shape_of(config: Experiment) -> planning.Shape:
    """What requests are asked to be. Raises: UsageError."""
    return planning.Shape(
        inputs=parse_lengths(config.input_tokens, "--input-tokens"),
        outputs=parse_lengths(config.output_tokens, "--output-tokens"),
        sampling=Sampling(config.temperature, config.seed),
        is_streamed=config.is_streamed,
        n_shared=config.shared_prefix,
    )


def schedule_of(config: Experiment) -> Schedule:
    """When they are due. Raises: UsageError."""
    arrivals = parse_arrivals(config.arrivals)
    warmup = config.warmup or Warmup()
    open_ = partial(open_loop, config.rate or 1, arrivals, seed=config.plan_seed)
    begin = {"open": open_, "closed": partial(closed, config.concurrency or 1)}.get(config.mode)
    if begin is None:
        return burst(
            config.requests or 1, n_warmup=warmup.n_requests, warmup_s=warmup.duration_s, n_trials=config.repeats
        )
    return begin(
        n_requests=config.requests,
        for_s=config.for_s,
        n_warmup=warmup.n_requests,
        warmup_s=warmup.duration_s,
        n_trials=config.repeats,
    )


def seeds_of(config: Experiment) -> tuple[int, int]:
    """The plan's seed, and a nonce for the words of its prompts: fresh in every run, unless the very same requests were
    asked for by --seed. What a server's prefix cache kept of the last run would be measured otherwise."""
    return config.plan_seed, 0 if config.seed is not None else secrets.randbits(32)


def n_requests_of(schedule: Schedule, taken_s: float) -> int:
    """All that is planned, and for stages that time ends more than the server can answer: as if every request took no
    more than `taken_s`, the least that one does, and half as many again."""
    n_planned = n_pool = 0
    for stages in schedule.trials:
        for stage in stages:
            if stage.n_planned is not None:
                n_planned += stage.n_planned
            else:
                n_slots = stage.concurrency or 1
                n_pool += math.ceil(1.5 * (stage.duration_ns or 0) / NS_PER_S * n_slots / taken_s) + 2 * n_slots
                n_pool += stage.n_warmup
    return n_planned + (min(MAX_POOL, n_pool + MIN_POOL) if n_pool else 0)


def stagger_s_of(config: Experiment, taken_s: float) -> float:
    """How far apart the slots open: over one request's time, and well within the warm-up. Without one, together."""
    warmup = config.warmup or Warmup()
    concurrency = config.concurrency or 1
    if warmup.duration_s:
        return min(taken_s, 0.5 * warmup.duration_s) / concurrency
    return 0.8 * taken_s / concurrency if warmup.n_requests >= concurrency else 0.0


def n_reserve_of(config: Experiment) -> int:
    """Idle connections to keep ready. In open loop as many as requests become due between two looks at them: one that
    finds none waits for a handshake, which would count as our lateness. In closed loop a slot has its own; only our own
    engine, which closes each after its answer, has threads to spare for two more."""
    if config.mode == "open":
        surge = parse_arrivals(config.arrivals).surge
        rate = (config.rate or 0.0) * (surge.factor if surge is not None else 1.0)
        return 2 + min(MAX_RESERVE, math.ceil(rate * SWEEP_NS / NS_PER_S))
    return 2 if config.is_embedded else 0


def time_alone(config: Experiment, shape: planning.Shape, facts: ServerFacts) -> float:
    """Seconds that one request of middling size takes on the idle server, once it is warm; a long answer is not waited
    for but reckoned from its first tokens.

    Raises: EngineError if it answers with an error.
    """
    n_output = max(1, math.ceil(shape.outputs.mean))
    n_asked = min(n_output, MAX_ALONE_TOKENS)
    n_input = max(1, math.ceil(shape.inputs.mean))  # of prompts out of a file nothing is known yet
    n_words = min(n_input, _N_FIRST_WORDS)
    clock = Clock()
    t_start_ns = 0
    with Control(facts.url, headers=config.headers(), is_insecure=config.insecure) as control:
        for i in range(3):
            request = Request(0, _prompt(facts, n_words), 0, n_asked, shape.sampling, shape.is_streamed)
            t_start_ns = clock.now_ns()
            seen = probe(control, dialects()[facts.api], facts.model, facts.extras, request)
            if seen.error:
                raise EngineError(f"a first request failed: {seen.error}", "mend what the server says, then try again")
            if i == 0:  # a word is one token to a large vocabulary, three to a small one, and long prompts must fit
                n_words = max(1, n_input * n_words // (seen.n_prompt_tokens or n_words))
    return max(1e-3, (clock.now_ns() - t_start_ns) / NS_PER_S * n_output / n_asked)


def _prompt(facts: ServerFacts, n_words: int) -> str | tuple[int, ...]:
    """So many words, or as many token ids for a dialect that takes nothing else."""
    if dialects()[facts.api].takes_text:
        return " ".join(["water"] * n_words)
    ids = facts.sample_ids
    return (ids * math.ceil(n_words / len(ids)))[:n_words]

# SPDX-License-Identifier: Apache-2.0
"""Continuous batching against arithmetic: single requests, slots, room, and laws that every queue obeys."""

from __future__ import annotations

import random

import pytest

from inferometer.emulate.batch import NEVER_NS, PREFILL_TOKENS, Batch, Pauses, Sequence
from inferometer.emulate.law import ServiceLaw
from inferometer.emulate.prefixes import PrefixCache, chain

MS = 1_000_000
LAW = ServiceLaw(a=10.0, b=0.01, c=1.0, d=0.001)


def batch(law=LAW, *, n_slots=4, kv_tokens=1 << 20, cache_tokens=0, **more):
    return Batch(law, n_slots=n_slots, kv_tokens=kv_tokens, prefixes=PrefixCache(cache_tokens), **more)


def drive(engine, sequences, t_ns=0):
    """Arrivals in order, iterations one after another, until all is done. Returns: the iterations."""
    coming = sorted(sequences, key=lambda sequence: sequence.t_arrival_ns)
    iterations = []
    while True:
        while coming and coming[0].t_arrival_ns <= t_ns:
            engine.arrive(coming.pop(0))
        iteration = engine.begin(t_ns)
        if iteration is None:
            starts = [engine.next_start_ns(), *(sequence.t_arrival_ns for sequence in coming[:1])]
            t_ns = min(starts)
            if t_ns == NEVER_NS:
                return iterations
            continue
        iterations.append(iteration)
        t_ns = iteration.t_end_ns
        engine.complete(iteration)


def test_one_request_alone_is_arithmetic():
    one = Sequence(100, 3, 5 * MS)
    drive(batch(), [one])
    first_ms = 10 + 0.01 * 100
    second_ms, third_ms = (10 + 1 + 0.001 * n for n in (101, 102))
    assert one.t_first_ns == (5 + first_ms) * MS
    assert one.t_last_ns == round((5 + first_ms + second_ms + third_ms) * MS)
    assert (one.n_done_tokens, one.t_admitted_ns) == (3, 5 * MS)


def test_a_long_prompt_takes_several_iterations():
    one = Sequence(2 * PREFILL_TOKENS + 10, 1, 0)
    iterations = drive(batch(), [one])
    assert [iteration.n_prefill_tokens for iteration in iterations] == [PREFILL_TOKENS, PREFILL_TOKENS, 10]
    assert one.t_first_ns == round((3 * 10 + 0.01 * one.n_prompt_tokens) * MS)


def test_what_comes_during_an_iteration_waits_for_its_end():
    first, second = Sequence(100, 5, 0), Sequence(100, 5, 1)
    drive(batch(), [first, second])
    assert second.t_admitted_ns == first.t_first_ns == 11 * MS
    assert second.t_first_ns == first.t_first_ns + round((10 + 1 + 0.01 * 100 + 0.001 * 101) * MS)


def test_beyond_the_slots_requests_wait_in_order():
    sequences = [Sequence(10, 4, i) for i in range(7)]
    iterations = drive(batch(n_slots=2), sequences)
    assert max(len(iteration.producing) for iteration in iterations) == 2
    admitted = [sequence.t_admitted_ns for sequence in sequences]
    assert admitted == sorted(admitted)
    assert admitted[2] >= sequences[0].t_last_ns


def test_a_known_beginning_is_not_computed_again():
    words = tuple(range(96))
    engine = batch(cache_tokens=10_000)
    first, second = (Sequence(96, 1, t_ns, blocks=chain(words)) for t_ns in (0, 500 * MS))
    drive(engine, [first, second])
    assert (first.n_cached_tokens, second.n_cached_tokens) == (0, 95)
    assert second.t_first_ns - second.t_arrival_ns == (10 + 0.01) * MS


def test_without_room_the_youngest_starts_again_and_loses_no_token():
    sequences = [Sequence(100, 60, i) for i in range(3)]
    iterations = drive(batch(kv_tokens=400), sequences)
    preempted = [sequence for iteration in iterations for sequence in iteration.preempted]
    assert preempted
    assert sequences[0] not in preempted
    assert [sequence.n_done_tokens for sequence in sequences] == [60, 60, 60]


def test_where_they_die_without_room_only_some_finish():
    sequences = [Sequence(100, 60, i) for i in range(3)]
    iterations = drive(batch(kv_tokens=400, dies_when_full=True), sequences)
    dead = [sequence for iteration in iterations for sequence in iteration.exhausted]
    assert dead
    assert all(sequence.n_done_tokens == 60 for sequence in sequences if sequence not in dead)
    assert all(sequence.n_done_tokens < 60 for sequence in dead)


def test_one_that_is_not_ready_holds_up_those_behind_it():
    first, second = Sequence(10, 1, 0, t_ready_ns=400 * MS), Sequence(10, 1, 1)
    drive(batch(), [first, second])
    assert first.t_admitted_ns == 400 * MS
    assert second.t_first_ns > 400 * MS


def test_one_whose_client_left_frees_its_slot():
    engine = batch(n_slots=1)
    first, second = Sequence(10, 1000, 0), Sequence(10, 2, 1)
    engine.arrive(first)
    engine.arrive(second)
    iteration = engine.begin(0)
    engine.complete(iteration)
    engine.leave(first, iteration.t_end_ns)
    after = engine.begin(iteration.t_end_ns)
    assert after.producing == [second]
    assert engine.begin(after.t_end_ns) is not None
    assert first.n_done_tokens == 1


@pytest.mark.parametrize("seed", range(4))
def test_every_token_is_produced_once_and_littles_law_holds(seed):
    rng = random.Random(seed)
    t_ns, sequences = 0, []
    for _ in range(120):
        t_ns += round(rng.expovariate(1 / 30) * MS)
        sequences.append(Sequence(rng.randrange(1, 300), rng.randrange(1, 30), t_ns))
    iterations = drive(batch(n_slots=5, seed=seed), sequences)
    assert sum(len(iteration.producing) for iteration in iterations) == sum(one.n_output_tokens for one in sequences)
    assert sum(iteration.n_prefill_tokens for iteration in iterations) == sum(one.n_prompt_tokens for one in sequences)
    ends = [iteration.t_end_ns for iteration in iterations]
    starts = [iteration.t_start_ns for iteration in iterations]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    # Little: requests in the engine, integrated over time, are the sum of their times there.
    events = sorted([(one.t_arrival_ns, 1) for one in sequences] + [(one.t_last_ns, -1) for one in sequences])
    area, n_inside, last_ns = 0, 0, events[0][0]
    for at_ns, change in events:
        area += n_inside * (at_ns - last_ns)
        n_inside, last_ns = n_inside + change, at_ns
    assert area == sum(one.t_last_ns - one.t_arrival_ns for one in sequences)
    assert n_inside == 0


def test_one_slot_and_a_constant_law_is_the_queue_of_the_textbook():
    """M/D/1: mean wait rho / (2 mu (1 - rho)). One token each, so that service is one iteration of 10 ms."""
    rng = random.Random(5)
    law = ServiceLaw(a=10.0, b=0.0, c=0.0, d=0.0)
    t_ns, sequences = 0, []
    for _ in range(20_000):
        t_ns += round(rng.expovariate(0.7 / 10) * MS)
        sequences.append(Sequence(1, 1, t_ns))
    drive(batch(law, n_slots=1), sequences)
    wait_ms = sum(one.t_admitted_ns - one.t_arrival_ns for one in sequences) / len(sequences) / MS
    assert wait_ms == pytest.approx(0.7 / (2 * 0.1 * 0.3), rel=0.1)


def test_the_same_arrivals_give_the_same_instants():
    law = ServiceLaw(noise=0.3)
    runs = []
    for _ in range(2):
        sequences = [Sequence(10 * i + 1, 5, i * MS) for i in range(10)]
        drive(batch(law, seed=3), sequences)
        runs.append([(one.t_first_ns, one.t_last_ns) for one in sequences])
    assert runs[0] == runs[1]


def test_in_a_pause_nothing_moves():
    pauses = Pauses(period_ns=1_000 * MS, length_ns=300 * MS)
    one = Sequence(100, 200, 0)
    engine = batch()
    engine.pauses = pauses
    iterations = drive(engine, [one])
    lengths_ms = [(iteration.t_end_ns - iteration.t_start_ns) / MS for iteration in iterations]
    assert sum(length > 300 for length in lengths_ms) == one.t_last_ns // (1_000 * MS)
    inside = [iteration for iteration in iterations if iteration.t_end_ns % (1_000 * MS) > 700 * MS]
    assert inside == []
    assert pauses.within_ns(750 * MS, 760 * MS) == 250 * MS, "one that begins in it waits for its end"


def test_last_come_first_served():
    sequences = [Sequence(10, 4, i) for i in range(5)]
    engine = batch(n_slots=1)
    engine.serves_last_first = True
    drive(engine, sequences)
    first, *others = (sequence.t_admitted_ns for sequence in sequences)
    assert first == 0
    assert others == sorted(others, reverse=True)

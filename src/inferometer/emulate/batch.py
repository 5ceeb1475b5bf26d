# SPDX-License-Identifier: Apache-2.0
"""Continuous batching: who waits, who runs, and what one iteration of the engine does for each.

    arrive -> waiting -> (a slot and room in the cache) -> running: prefill, then a token per iteration -> finished

Rule 1: pure. Instants come in as arguments, and the same arrivals give the same iterations, to the nanosecond.
Rule 2: an iteration is planned when it begins, by who is there then; what comes later waits for the next.
Rule 3: the iteration that completes a prompt produces its first token. Waiting is in order of arrival.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from inferometer.emulate.law import ServiceLaw
from inferometer.emulate.prefixes import PrefixCache

PREFILL_TOKENS = 2048  # of one iteration, over all sequences: a longer prompt takes several
NEVER_NS = (1 << 63) - 1


@dataclass(slots=True, eq=False)
class Sequence:
    """One request in the engine. `n_output_tokens`: at least 1, decided beforehand.

    `n_kept_tokens`: of prompt and answer, in the cache; `n_prefill_tokens`: in the cache before a token can come.
    """

    n_prompt_tokens: int
    n_output_tokens: int
    t_arrival_ns: int
    blocks: tuple[int, ...] = ()
    t_ready_ns: int = 0  # not admitted before, e.g. because a model is loaded first
    t_admitted_ns: int = NEVER_NS
    t_first_ns: int = NEVER_NS
    t_last_ns: int = NEVER_NS
    t_gone_ns: int = NEVER_NS  # when the engine has noticed that the client left
    n_done_tokens: int = 0
    n_kept_tokens: int = 0
    n_prefill_tokens: int = 0
    n_cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Pauses:
    """When an engine stands still: for `length_ns` at the end of every `period_ns`."""

    period_ns: int
    length_ns: int

    def within_ns(self, t_start_ns: int, t_end_ns: int) -> int:
        """How long it stands still, if it is at work from one instant to the other. At most one pause is met."""
        phase_ns = t_start_ns % self.period_ns
        until_ns = self.period_ns - self.length_ns - phase_ns
        if until_ns <= 0:  # it stands still already
            return self.period_ns - phase_ns
        return self.length_ns if until_ns <= t_end_ns - t_start_ns else 0


@dataclass(slots=True)
class Iteration:
    """What happens between two instants. `producing` get their next token at the end.

    `prefills`: sequence and tokens of its prompt; `preempted` lost their place, `exhausted` their life, at the start.
    """

    t_start_ns: int
    t_end_ns: int = 0
    prefills: list[tuple[Sequence, int]] = field(default_factory=list)
    producing: list[Sequence] = field(default_factory=list)
    preempted: list[Sequence] = field(default_factory=list)
    exhausted: list[Sequence] = field(default_factory=list)
    n_prefill_tokens: int = 0
    n_decoding: int = 0


class Batch:
    """The queue and the slots of one engine.

    `kv_tokens`: room for keys and values; when it runs out, the youngest sequence loses its place and is computed again
    later, or, with `dies_when_full`, all that cannot go on end there.
    """

    def __init__(
        self,
        law: ServiceLaw,
        *,
        n_slots: int,
        kv_tokens: int,
        prefixes: PrefixCache,
        seed: int = 0,
        dies_when_full: bool = False,
    ) -> None:
        self.law = law
        self.n_slots = n_slots
        self.kv_tokens = kv_tokens
        self.prefixes = prefixes
        self.running: list[Sequence] = []
        self.waiting: deque[Sequence] = deque()
        # Faults, planted by defects.py: prompts are computed whole and alone; iterations take longer by a factor; it
        # stands still now and then; who came last is served first.
        self.prefills_alone = False
        self.slowdown: Callable[[int], float] | None = None
        self.pauses: Pauses | None = None
        self.serves_last_first = False
        self._is_anybody_leaving = False
        self._dies_when_full = dies_when_full
        self._rng = random.Random(f"iterations/{seed}")

    @property
    def n_kept_tokens(self) -> int:
        return sum(sequence.n_kept_tokens for sequence in self.running)

    @property
    def n_promised_tokens(self) -> int:
        """Kept, or to be kept once all prompts are computed."""
        return sum(max(sequence.n_prefill_tokens, sequence.n_kept_tokens) for sequence in self.running)

    def arrive(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def leave(self, sequence: Sequence, t_ns: int) -> None:
        """Its client has left, which the engine notices at this instant."""
        sequence.t_gone_ns = t_ns
        self._is_anybody_leaving = True

    def next_start_ns(self) -> int:
        """When an idle engine has something to do; NEVER_NS if nobody waits."""
        return max(self.waiting[0].t_ready_ns, self.waiting[0].t_arrival_ns) if self.waiting else NEVER_NS

    def begin(self, t_ns: int) -> Iteration | None:
        """Plan the iteration that starts now; None if there is nothing to do."""
        if self._is_anybody_leaving:
            self.running = [sequence for sequence in self.running if sequence.t_gone_ns > t_ns]
            self.waiting = deque(sequence for sequence in self.waiting if sequence.t_gone_ns > t_ns)
            self._is_anybody_leaving = any(one.t_gone_ns != NEVER_NS for one in (*self.running, *self.waiting))
        iteration = Iteration(t_ns)
        self._make_room(iteration)
        self._admit(t_ns)
        if not self.running:
            return None
        is_alone = self.prefills_alone and any(one.n_kept_tokens < one.n_prefill_tokens for one in self.running)
        n_most = NEVER_NS if is_alone else PREFILL_TOKENS
        n_left, n_context = n_most, 0
        for sequence in self.running:
            n_missing = sequence.n_prefill_tokens - sequence.n_kept_tokens
            if n_missing > 0:
                n_taken = min(n_missing, n_left)
                n_left -= n_taken
                if n_taken:
                    iteration.prefills.append((sequence, n_taken))
                if n_taken < n_missing:
                    continue
            elif is_alone:
                continue
            else:
                iteration.n_decoding += 1
                n_context += sequence.n_prompt_tokens + sequence.n_done_tokens
            iteration.producing.append(sequence)
        iteration.n_prefill_tokens = n_most - n_left
        lasts_ns = self.law.iteration_ns(iteration.n_prefill_tokens, iteration.n_decoding, n_context, self._rng)
        iteration.t_end_ns = t_ns + (lasts_ns if self.slowdown is None else round(lasts_ns * self.slowdown(t_ns)))
        if self.pauses is not None:
            iteration.t_end_ns += self.pauses.within_ns(t_ns, iteration.t_end_ns)
        return iteration

    def complete(self, iteration: Iteration) -> list[Sequence]:
        """The iteration has ended: what it did is done. Returns: the sequences that are finished."""
        for sequence, n_taken in iteration.prefills:
            sequence.n_kept_tokens += n_taken
        for sequence in iteration.producing:
            if sequence.n_done_tokens == 0:
                sequence.t_first_ns = iteration.t_end_ns
                self.prefixes.add(sequence.blocks)
            sequence.n_done_tokens += 1
            sequence.t_last_ns = iteration.t_end_ns
        for sequence in iteration.producing:
            if sequence.n_kept_tokens < sequence.n_prompt_tokens + sequence.n_done_tokens - 1:
                sequence.n_kept_tokens += 1
        finished = [one for one in iteration.producing if one.n_done_tokens == one.n_output_tokens]
        if finished:
            self.running = [one for one in self.running if one.n_done_tokens < one.n_output_tokens]
        return finished

    def _admit(self, t_ns: int) -> None:
        while self.waiting and len(self.running) < self.n_slots:
            at = -1 if self.serves_last_first else 0
            sequence = self.waiting[at]
            n_prefill = sequence.n_prompt_tokens + sequence.n_done_tokens
            is_full = self.n_promised_tokens + n_prefill > self.kv_tokens and bool(self.running)
            if is_full or max(sequence.t_ready_ns, sequence.t_arrival_ns) > t_ns:
                return
            del self.waiting[at]
            sequence.n_cached_tokens = self.prefixes.match(sequence.blocks, n_prefill)
            sequence.n_kept_tokens = sequence.n_cached_tokens
            sequence.n_prefill_tokens = n_prefill
            sequence.t_admitted_ns = min(sequence.t_admitted_ns, t_ns)
            self.running.append(sequence)

    def _make_room(self, iteration: Iteration) -> None:
        """The running sequences need a place each for the token they add."""
        while len(self.running) > 1 and self.n_promised_tokens + len(self.running) > self.kv_tokens:
            sequence = self.running.pop()
            sequence.n_kept_tokens = sequence.n_prefill_tokens = 0
            if self._dies_when_full:
                iteration.exhausted.append(sequence)
            else:
                iteration.preempted.append(sequence)
                self.waiting.appendleft(sequence)

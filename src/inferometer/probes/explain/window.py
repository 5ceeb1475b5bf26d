# SPDX-License-Identifier: Apache-2.0
"""The window of a server, tried out: how long a prompt it takes, and how long an answer it gives.

Rule 1: every request here asks for what it needs to be told, and no token more: long answers are asked for last, and
    only as long as there is time for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from inferometer.analysis.token_limits import Output
from inferometer.analysis.window import Trial, Window, conclude, next_size, numbers_in
from inferometer.errors import EngineError
from inferometer.host.probe import TIMEOUT_S, Probe
from inferometer.probes.bench import Bench
from inferometer.probes.explain.filler import Filler

FAR = 4  # times the limit: a prompt far beyond it
_OVER, _UNDER = 64, 32  # tokens of an answer that is asked for, and for which there is room
_SHORT = 32  # tokens of the prompt before a long answer
_MOST_REFUSALS = 3
_LEAST_TIMEOUT_S = 20.0  # of a request, however little time is left
_MUCH = 10  # times longer than in proportion to its length may a prompt take before it is called lost
_EMPTY = "the answer holds no token"


@dataclass(slots=True)
class Prober:
    """Sends prompts of filler. `search_s`: for the search of the longest that is taken; `left_s`: of all the time."""

    bench: Bench
    filler: Filler
    search_s: float
    left_s: Callable[[], float]
    per_token_s: float = 0.0
    trials: list[Trial] = field(default_factory=list)

    def window(self, advertised: int | None) -> Window:
        """The longest prompt that is taken whole."""
        why, until_s = "", self.left_s() - self.search_s
        while (size := next_size(advertised, self.trials, grain=self.filler.grain)) is not None:
            if self.trials and size * self.per_token_s > self.left_s() - until_s:
                why = f"a prompt of {size:,} tokens would take about {size * self.per_token_s:.0f} s"
                break
            trial = self._try(size)
            if trial is None:
                why = f"a prompt of {size:,} tokens was not answered in time, and short ones take long, too"
                break
            if any(trial.n_sent == one.n_sent for one in self.trials):
                break  # coarse words: there is no length between
            self.trials.append(trial)
        return conclude(advertised, self.trials, grain=self.filler.grain, why=why)

    def far(self, n_tokens: int) -> Trial | None:
        """What becomes of a prompt far beyond the limit; None if the server is too slow to tell."""
        return self._try(n_tokens)

    def _try(self, n_tokens: int) -> Trial | None:
        text, n_sent = self.filler.prompt(n_tokens)
        timeout_s = self._timeout_s()
        t_start_s = self.bench.used_s()
        try:
            seen = self.bench.probe(text, 1, forces_length=True, timeout_s=timeout_s)
        except EngineError as error:
            short_s = self._short_s(timeout_s)
            if short_s is not None and short_s * n_sent / _SHORT > timeout_s / _MUCH:
                return None
            after = "" if short_s is not None else "; after it a short prompt is not answered either"
            return Trial(n_sent, "lost", None, 0, f"{error}{after}")
        trial = _trial(n_sent, seen)
        if trial.what == "whole":
            self.per_token_s = max(self.per_token_s, (self.bench.used_s() - t_start_s) / n_sent)
        self.bench.say(f"limit     {n_sent:,} tokens: {trial.what}" + (f" ({trial.said})" if trial.said else ""))
        return trial

    def _timeout_s(self) -> float:
        """As long as there is time, and not for ever: a server that has answered before is not loading its model."""
        return max(_LEAST_TIMEOUT_S, min(TIMEOUT_S, self.left_s()))

    def _short_s(self, timeout_s: float) -> float | None:
        """Seconds that a short prompt takes now; None if it is not answered: the server is down, or hangs."""
        text, _ = self.filler.prompt(_SHORT)
        t_start_s = self.bench.used_s()
        try:
            self.bench.probe(text, 1, forces_length=True, timeout_s=timeout_s)
        except EngineError:
            return None
        return self.bench.used_s() - t_start_s

    def output(self, n_prompt: int, n_asked: int) -> Output:
        """An answer of so many tokens, if it can be had."""
        text, n_prompt = self.filler.prompt(n_prompt)
        is_forced = self.bench.facts.is_length_forced
        try:
            seen = self.bench.probe(text, n_asked, forces_length=True, timeout_s=self._timeout_s())
        except EngineError as error:
            return Output(n_prompt, n_asked, "lost", said=str(error), is_forced=is_forced)
        if seen.error:
            return Output(n_prompt, n_asked, "refused", said=seen.error, is_forced=is_forced)
        given = seen.n_output_tokens
        if given is None or given >= n_asked:
            return Output(n_prompt, n_asked, "given", given, seen.finish, "", is_forced)
        is_cut = is_forced or seen.finish == "length"
        return Output(n_prompt, n_asked, "shortened" if is_cut else "ended", given, seen.finish, "", is_forced)

    def overflow(self, longest: int) -> Output:
        """A prompt and an answer that fit one by one, and not together."""
        return self.output(max(longest - _UNDER + 1, 1), _OVER)

    def outputs(self, window: int, seconds: float) -> list[Output]:
        """Longer and longer answers after a short prompt: a few tokens to learn the speed, then all that fit."""
        t_start_s = self.bench.used_s()
        first = self.output(_SHORT, _OVER)
        taken = [first]
        if first.what != "given":
            return taken
        per_token_s = (self.bench.used_s() - t_start_s) / _OVER
        room = window + 1 - first.n_prompt
        affordable = int(seconds / per_token_s)
        # More than there is room for, where there is time: whether that is refused, or how much then comes.
        sizes = [room + _OVER, room] if affordable > room else [affordable]
        for _ in range(_MOST_REFUSALS):
            size = sizes.pop(0)
            if size <= _OVER:
                break
            taken.append(self.output(_SHORT, size))
            self.bench.say(f"answer    {size:,} tokens asked for: {taken[-1].what}, {taken[-1].n_given or 0:,} came")
            if taken[-1].what != "refused":
                break
            told = [n for n in numbers_in(taken[-1].said, below=size) if _OVER < n < size]
            sizes = [n for n in dict.fromkeys([*told, *sizes]) if n < size] or [size // 2]
        return taken


def _trial(n_sent: int, seen: Probe) -> Trial:
    n_counted = seen.n_prompt_tokens
    if seen.error and not (seen.error == _EMPTY and n_counted):  # a model may have nothing to say to it
        return Trial(n_sent, "refused", None, seen.status, seen.error)
    if n_counted is not None and n_counted < n_sent:
        return Trial(n_sent, "cut", n_counted, seen.status)
    return Trial(n_sent, "whole", n_counted, seen.status)

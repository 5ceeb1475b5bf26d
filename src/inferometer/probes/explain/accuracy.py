# SPDX-License-Identifier: Apache-2.0
"""`explain accuracy`: the same questions asked alone, again alone, with others in flight, and of another target.

    alone    one request at a time            right answers, hallucination; the first of every pair
    again    the same once more               the floor: what the engine does to itself
    loaded   with others in flight            the others are the rest of the questions
    free     prompts with long answers        where answers part, with log-probabilities; alone, again, loaded
    samples  grounded ones, at a temperature  consistency
    against  alone and free, of another

Rule: how many questions there are is decided by how long the first few took, so that the budget is kept.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferometer.analysis.accuracy import (
    MOST_BROKEN,
    AccuracyExamination,
    Against,
    Change,
    Mark,
    change,
    only_changed_in_second,
    right_of_whole,
)
from inferometer.analysis.accuracy_findings import INVENTED, Evidence, findings_of
from inferometer.analysis.agreement import Agreement, Said, agreement
from inferometer.analysis.finding import Bound, Row, worst_first
from inferometer.analysis.hallucination import Consistency, Hallucination, consistency, hallucination
from inferometer.analysis.number import Number
from inferometer.clock import utc_now
from inferometer.errors import EngineError, RunError, UsageError
from inferometer.metrics.summary import Summary, summarize
from inferometer.probes.bench import Answered, Asked, Bench, Question
from inferometer.probes.explain.judged_questions import JudgedQuestion, free, made, marks, mixed, own, tallies
from inferometer.probes.explain.spoken import likelihood_fields, spoken
from inferometer.probes.points import Stopped
from inferometer.tasks import Task, plain
from inferometer.tasks.own import OwnQuestion

BUDGET_S = 240.0
N_ITEMS, MOST_ITEMS = 60, 5_000  # of each task
CONCURRENCY = 8
ANSWER_TOKENS = 64
STARTED_INPUT = 1_024  # prompt tokens that a server which we start has room for
_N_FIRST = 10  # questions that tell how long one takes
N_FREE = 24  # free prompts, and as many questions of the longest answers beside them
N_SAMPLED, _N_SAMPLES, TEMPERATURE = 30, 5, 1.0
_OVERHEAD_S = 1.5  # of a run, beside its requests
_SHARE_OF_QUESTIONS = 0.6  # of the budget; the rest is for free prompts and samples
_AT_ONCE = 2.0  # how many times as fast questions are taken to be answered under load, to be on the safe side

OpenBench = Callable[[Path], AbstractContextManager[Bench]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be asked. `n_items`: of each task, at most; `n_tokens`: of a prompt, None: short ones; `own`: in place
    of the made questions that a text may not answer. `against`: another target by its name, and how to begin it."""

    tasks: tuple[Task, ...] = tuple(Task)
    n_items: int = N_ITEMS
    n_tokens: int | None = None
    answer_tokens: int = ANSWER_TOKENS
    n_free: int = N_FREE
    n_sampled: int = N_SAMPLED
    concurrency: int = CONCURRENCY
    own: tuple[OwnQuestion, ...] = ()
    against: str = ""
    open_against: OpenBench | None = None
    seed: int = 0
    budget_s: float = BUDGET_S


def examine(bench: Bench, wish: Wish) -> AccuracyExamination:
    """Carry it out; what could not be measured is in the row.

    Raises: EngineError, RunError before the first answers; Stopped if the server or the user ended it before there was
    anything to say; UsageError if prompts of a length are asked for and nobody counts.
    """
    going = _Going(bench, wish)
    try:
        going.questions()
        going.free_prompts()
        going.samples()
        going.other()
    except (Stopped, EngineError) as ended:
        if not going.alone:
            raise
        going.stopped = str(ended)
        going.not_measured.append(f"what was to follow: {ended}")
    return going.result()


@dataclass(slots=True)
class _Going:
    """An examination on its way. By question: `answered` alone; marks of that, `alone`, of `again` and `loaded`."""

    bench: Bench
    wish: Wish
    asked: list[JudgedQuestion] = field(default_factory=list)
    answered: tuple[Answered, ...] = ()
    alone: list[Mark] = field(default_factory=list)
    again: list[Mark] = field(default_factory=list)
    loaded: list[Mark] = field(default_factory=list)
    spoken: list[Said] = field(default_factory=list)
    floor: Agreement | None = None
    under_load: Agreement | None = None
    consistency: Consistency | None = None
    against: Against | None = None
    not_measured: list[str] = field(default_factory=list)
    facts: Summary | None = None
    per_question_s: float = 0.0
    fields: Mapping[str, Any] = field(default_factory=dict)  # that ask for log-probabilities
    why: str = ""  # there are none
    stopped: str = ""
    n_before: int = 0
    _t_start_s: float = 0.0

    def __post_init__(self) -> None:
        self._t_start_s, self.n_before = self.bench.used_s(), self.bench.n_requests

    def left_s(self) -> float:
        return self.wish.budget_s - (self.bench.used_s() - self._t_start_s)

    # questions with right answers

    def questions(self) -> None:
        everything = self._everything()
        begun = self.bench.ask("first", self._as_asked(everything[:_N_FIRST]))
        took = [answer.e2e_s for answer in begun.answers if answer.e2e_s is not None]
        if not took:
            error = next((answer.error for answer in begun.answers if answer.error), "no answer came")
            raise EngineError(f"the first questions were not answered: {error}", f"inferometer report {begun.run.path}")
        self.per_question_s = statistics.mean(took)
        self.asked = everything[: self._n_affordable(everything)]
        one = self.bench.ask("alone", self._as_asked(self.asked))
        self.facts, self.answered = summarize(one.run.trace()), one.answers
        self.alone = self._marks(one)
        self._say("alone", self.alone)
        n = self.wish.concurrency
        self.loaded = self._marks(self.bench.ask("loaded", self._as_asked(self.asked), concurrency=n))
        self._say(f"{n} at once", self.loaded)
        self.again = self._marks(self.bench.ask("again", self._as_asked(self.asked)))
        self._note_trouble()

    def _note_trouble(self) -> None:
        """What stands between the answers and a judgement."""
        failed = [answer for answer in self.answered if not answer.is_ok]
        if failed:
            told = failed[0].error or failed[0].outcome.name.lower()
            self.not_measured.append(f"{len(failed)} of {len(self.answered)} answers alone: none came whole ({told})")
        n_cut = sum(answer.finish == "length" for answer in self.answered)
        if n_cut > MOST_BROKEN * len(self.answered):
            self.not_measured.append(
                f"what {n_cut} of {len(self.answered)} answers come to: they were cut at {self.wish.answer_tokens} "
                "tokens; give --answer-tokens"
            )

    def _everything(self) -> list[JudgedQuestion]:
        wish = self.wish
        tasks = tuple(task for task in wish.tasks if not wish.own or task not in (Task.GROUNDED, Task.UNKNOWN))
        count = self._counter() if wish.n_tokens is not None else None
        mine = made(tasks, wish.n_items, wish.seed, n_tokens=wish.n_tokens, count=count) if tasks else []
        return mixed(mine, own(wish.own))

    def _counter(self) -> Callable[[str], int]:
        """Raises: UsageError if nobody counts."""
        if self.bench.count("one two") is None:
            raise UsageError("nobody counts tokens here, so prompts cannot be made of a length", "drop --prompt-tokens")
        return lambda text: self.bench.count(text) or 0

    def _n_affordable(self, everything: Sequence[JudgedQuestion]) -> int:
        """All, or as many as fit; whole rounds of the tasks. The pace of the first few is everybody's."""
        n_alone = 3 if self.wish.open_against is not None else 2
        per_question_s = self.per_question_s * (n_alone + 1 / _AT_ONCE)
        room_s = _SHARE_OF_QUESTIONS * self.left_s() - (n_alone + 1) * _OVERHEAD_S
        n_kinds = len({question.task for question in everything})
        n = min(len(everything), int(room_s / per_question_s))
        if n == len(everything):
            return n
        if n < n_kinds:
            needed_s = (n_kinds * per_question_s + (n_alone + 1) * _OVERHEAD_S) / _SHARE_OF_QUESTIONS
            raise EngineError(
                f"one question takes {self.per_question_s:.2g} s, so {n_kinds} of them need {needed_s:.0f} s",
                "give a larger --budget, or shorter --answer-tokens",
            )
        n -= n % n_kinds
        self.not_measured.append(
            f"{len(everything) - n} of {len(everything)} questions: one takes {self.per_question_s:.2g} s; "
            "give a larger --budget"
        )
        return n

    def _as_asked(self, questions: Sequence[JudgedQuestion]) -> list[Question]:
        return [Question(question.prompt, self.wish.answer_tokens) for question in questions]

    def _marks(self, answered: Asked) -> list[Mark]:
        """One for each question; a run that ended early, with nothing but failures, did not ask them all."""
        said = [(answer.text, answer.is_ok, answer.finish == "length") for answer in answered.answers]
        return marks(self.asked, said + [("", False, False)] * (len(self.asked) - len(said)))

    def _say(self, how: str, found: Sequence[Mark]) -> None:
        self.bench.say(f"{how.ljust(10)}{sum(mark.is_right for mark in found)} of {len(found)} answers right")

    # where answers part

    def free_prompts(self) -> None:
        free_s = self.wish.n_free * (self._story_s() + self.per_question_s) * (2 + 1 / _AT_ONCE) + 3 * _OVERHEAD_S
        if free_s > self.left_s():
            self.not_measured.append(
                f"where answers part: needs {free_s:.0f} s, {max(0.0, self.left_s()):.0f} s were left"
            )
            return
        self.fields, self.why = likelihood_fields(self.bench)
        self.spoken = self._spoken("free")
        self.floor = agreement("itself, alone", _pairs(self.spoken, self._spoken("free-again")), source=self.why)
        busy = self._spoken("free-loaded", concurrency=self.wish.concurrency)
        what = f"itself, {self.wish.concurrency} in flight"
        self.under_load = agreement(what, _pairs(self.spoken, busy), self.floor, source=self.why)

    def _story_s(self) -> float:
        """As long as the longest of the answers so far, in proportion to its tokens."""
        per_token = [
            answer.e2e_s / answer.n_output_tokens for answer in self.answered if answer.e2e_s and answer.n_output_tokens
        ]
        return self.wish.answer_tokens * statistics.median(per_token) if per_token else self.per_question_s

    def _free_questions(self) -> list[Question]:
        longest = sorted(self.asked, key=lambda question: -max(map(len, question.answers), default=0))[
            : self.wish.n_free
        ]
        prompts = [*free(self.wish.n_free, self.wish.seed), *(question.prompt for question in longest)]
        return [Question(prompt, self.wish.answer_tokens) for prompt in prompts]

    def _spoken(self, word: str, *, concurrency: int = 1) -> list[Said]:
        return spoken(self.bench, word, self._free_questions(), self.fields, concurrency=concurrency)

    # answers at a temperature

    def samples(self) -> None:
        grounded = [i for i, question in enumerate(self.asked) if question.is_grounded][: self.wish.n_sampled]
        if not grounded:
            self.not_measured.append("consistency: no grounded questions were asked")
            return
        needed_s = len(grounded) * _N_SAMPLES * self.per_question_s / _AT_ONCE + _OVERHEAD_S
        if needed_s > self.left_s():
            self.not_measured.append(f"consistency: needs {needed_s:.0f} s, {max(0.0, self.left_s()):.0f} s were left")
            return
        questions = self._as_asked([self.asked[i] for i in grounded]) * _N_SAMPLES
        found = self.bench.ask(
            "samples", questions, concurrency=self.wish.concurrency, temperature=TEMPERATURE, seed=None
        )
        texts = [plain(answer.text) for answer in found.answers]
        if len(texts) < len(questions):
            self.not_measured.append("consistency: the server stopped answering")
            return
        self.consistency = consistency(
            [texts[j :: len(grounded)] for j in range(len(grounded))],
            [self.asked[i].judged(self.alone[i].text) for i in grounded],
            temperature=TEMPERATURE,
        )

    # another target

    def other(self) -> None:
        if self.wish.open_against is None:
            return
        try:
            with self.wish.open_against(self.bench.folder) as other:
                self.against = self._compared(other)
                self.bench.n_requests += other.n_requests
        except (EngineError, RunError) as error:
            self.not_measured.append(f"{self.wish.against}: {error}")

    def _compared(self, other: Bench) -> Against:
        wish = self.wish
        answered = other.ask("alone", self._as_asked(self.asked))
        theirs = self._marks(answered)
        self._say("the other", theirs)
        said = spoken(other, "free", self._free_questions(), self.fields) if self.spoken else []
        counts = [
            (one.n_prompt_tokens, two.n_prompt_tokens)
            for one, two in zip(self.answered, answered.answers, strict=False)
            if one.n_prompt_tokens is not None and two.n_prompt_tokens is not None
        ]
        facts = summarize(answered.run.trace())
        return Against(
            target=wish.against,
            engine=dict(facts.engine),
            change=change(("this one", wish.against), self.alone, theirs),
            agreement=agreement(wish.against, _pairs(self.spoken, said), self.floor, source=self.why),
            n_same_prompts=sum(one == two for one, two in counts),
            n_prompts=len(counts),
            differs=_differing(dict(self.facts.engine) if self.facts else {}, dict(facts.engine)),
        )

    # what it came to

    def result(self) -> AccuracyExamination:
        facts, wish = self.facts, self.wish
        again = self._change(("alone", "again alone"), self.again)
        load = self._change(("alone", f"{wish.concurrency} in flight"), self.loaded)
        seen = self._evidence(again, load)
        return AccuracyExamination(
            row=self._row(seen),
            concurrency=wish.concurrency,
            tallies=tallies(self.asked, self.alone, self.loaded),
            again=again,
            load=load,
            floor=self.floor,
            under_load=self.under_load,
            hallucination=seen.hallucination,
            consistency=self.consistency,
            against=self.against,
            seed=wish.seed,
            created=utc_now().isoformat(timespec="seconds"),
            engine=dict(facts.engine) if facts else {},
            plan=dict(facts.plan) if facts else {},
            host=dict(facts.host) if facts else {},
            versions=dict(facts.versions) if facts else {},
            stopped=self.stopped,
        )

    def _change(self, ways: tuple[str, str], second: Sequence[Mark]) -> Change | None:
        return change(ways, self.alone, second) if second else None

    def _evidence(self, again: Change | None, load: Change | None) -> Evidence:
        is_whole = bool(self.again and self.loaded)
        n_load, n_again = only_changed_in_second(self.alone, self.again, self.loaded) if is_whole else (0, 0)
        read = [mark for mark, question in zip(self.alone, self.asked, strict=True) if question.is_told]
        return Evidence(
            concurrency=self.wish.concurrency,
            understood=right_of_whole(read),
            right=right_of_whole(self.alone),
            again=again,
            load=load,
            n_load_only=n_load,
            n_again_only=n_again,
            floor=self.floor,
            under_load=self.under_load,
            hallucination=self._hallucination(),
            against=self.against,
        )

    def _hallucination(self) -> Hallucination | None:
        judged = [
            question.judged(mark.text)
            for question, mark in zip(self.asked, self.alone, strict=True)
            if question.is_grounded and mark.is_whole
        ]
        if right_of_whole(self.alone).value is None:
            return None
        source = "your own questions" if self.wish.own else "made-up facts"
        return hallucination(source, judged) if judged else None

    def _row(self, seen: Evidence) -> Row:
        found = worst_first(findings_of(seen))
        figure: Number = seen.right
        bound: Bound | None = None
        headline = "answers right, one request at a time"
        is_judged = not any(finding.code == "mostly_wrong" for finding in found)
        if is_judged and seen.hallucination is not None and seen.hallucination.invented.value is not None:
            figure, bound = seen.hallucination.invented, INVENTED
            headline = "questions that the text does not answer, answered all the same"
        return Row(
            challenge="accuracy",
            headline=headline,
            figure=figure,
            bound=bound,
            findings=found,
            not_measured=self.not_measured,
            seconds=self.wish.budget_s - self.left_s(),
            n_requests=self.bench.n_requests - self.n_before,
        )


def _pairs(ours: Sequence[Said], theirs: Sequence[Said]) -> list[tuple[Said, Said]]:
    return list(zip(ours, theirs, strict=True))


def _differing(ours: dict[str, object], theirs: dict[str, object]) -> list[str]:
    """What the two tell of themselves, where it is not the same."""
    words = {"title": "engine", "version": "version", "model": "model"}
    return [
        f"{word} {ours.get(key) or '?'} and {theirs.get(key) or '?'}"
        for key, word in words.items()
        if ours.get(key) != theirs.get(key)
    ]

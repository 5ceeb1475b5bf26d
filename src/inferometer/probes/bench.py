# SPDX-License-Identifier: Apache-2.0
"""A server on the bench: started once or there already, known, and asked whatever an examination wants to know.

    take    a run under a load, with its records            FOLDER/points/001-c4/
    ask     given prompts, and what was answered to each    FOLDER/points/002-depths/, FOLDER/questions/002-depths.jsonl
    probe   one small request outside of any run
    gauges  what the server tells of itself now

Rule 1: whatever is sent is counted, and what is asked as a run can be asked again: its prompts lie in a file that
`inferometer run --input-tokens file:...` takes.
Rule 2: an answer to a question is ended by the model, never by us, unless that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from inferometer import experiment
from inferometer.clock import Clock
from inferometer.config import Experiment, Warmup
from inferometer.drive.progress import Observer
from inferometer.engines.engine import Dialect, Engine
from inferometer.engines.registry import dialects, engines
from inferometer.errors import UsageError
from inferometer.host.ask import ServerFacts
from inferometer.host.control import Control
from inferometer.host.counting import ServerCounter
from inferometer.host.probe import TIMEOUT_S, Probe, probe
from inferometer.host.scrape import gauges_now
from inferometer.kinds import Outcome
from inferometer.plan.request import Request, Sampling
from inferometer.probes.points import Points, points
from inferometer.records import NOT_TOLD
from inferometer.run_folder import Run, write_atomically
from inferometer.units import NS_PER_S

QUESTIONS = "questions"
_GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and how long the answer may become. `messages` ((role, content), ...) take the prompt's place."""

    prompt: str
    max_output_tokens: int
    messages: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a question. Counts are the server's, None where it told none; `ttft_s`, `e2e_s` from when it was
    sent, None where nothing came."""

    outcome: Outcome
    status: int
    error: str
    text: str
    finish: str
    n_prompt_tokens: int | None
    n_output_tokens: int | None
    n_cached_tokens: int | None
    ttft_s: float | None
    e2e_s: float | None

    @property
    def is_ok(self) -> bool:
        return self.outcome is Outcome.OK


@dataclass(frozen=True, slots=True)
class Asked:
    """`answers`: in the order of the questions."""

    run: Run
    answers: tuple[Answered, ...]


@dataclass(slots=True)
class Bench:
    """`config`: what all that is sent has in common. `n_requests`: sent so far, warm-up included."""

    config: Experiment
    points: Points
    facts: ServerFacts
    engine: Engine
    control: Control
    budget_s: float
    n_requests: int = 0
    _clock: Clock = field(default_factory=Clock)
    _t_start_ns: int = 0

    def __post_init__(self) -> None:
        self._t_start_ns = self._clock.now_ns()

    @property
    def dialect(self) -> Dialect:
        return dialects()[self.facts.api]

    @property
    def folder(self) -> Path:
        return self.points.folder

    @property
    def is_ours(self) -> bool:
        """Whether we started the server."""
        return self.points.subject.server is not None

    def say(self, text: str) -> None:
        self.points.observer.say(text)

    def used_s(self) -> float:
        return (self._clock.now_ns() - self._t_start_ns) / NS_PER_S

    def left_s(self) -> float:
        """Of the budget; below zero when it is overdrawn."""
        return self.budget_s - self.used_s()

    def take(
        self,
        word: str,
        *,
        window_s: float,
        warmup_s: float = 0.0,
        concurrency: int | None = None,
        rate: float | None = None,
        **changes: Any,
    ) -> Run:
        """An ordinary run under that load. `changes`: other fields of the Experiment, such as `input_tokens`.

        Raises: Stopped if it ended early; UsageError if that cannot be sent; EngineError, RunError.
        """
        warmup = Warmup(duration_s=warmup_s)
        load: dict[str, Any] = {"concurrency": concurrency, "rate": rate, "requests": None, "for_s": window_s}
        return self._carried_out(word, replace(self.config, **load, warmup=warmup, **changes))

    def ask(
        self,
        word: str,
        questions: Sequence[Question],
        *,
        concurrency: int = 1,
        body_fields: Mapping[str, Any] | None = None,
        forces_length: bool = False,
        is_read: bool = True,
        **changes: Any,
    ) -> Asked:
        """Ask all of them, so many at a time. `body_fields`: more to ask for, such as log-probabilities; `is_read`:
        whether anybody looks at what was said, and not just at how it came; else the texts are empty.

        Raises: as `take`; UsageError if they are to be read and no content may be kept.
        """
        if is_read and not self.config.keeps_content:
            raise UsageError("answers cannot be judged where no content may be kept", "leave out --no-content")
        path = self.folder / QUESTIONS / f"{self.points.n_taken + 1:03}-{word}.jsonl"
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, b"".join(msgspec.json.encode(_line(one)) + b"\n" for one in questions))
        run = self._carried_out(
            word,
            replace(
                self.config,
                concurrency=min(concurrency, len(questions)),
                rate=None,
                requests=len(questions),
                for_s=None,
                warmup=Warmup(),
                input_tokens=f"file:{path}",
                output_tokens=f"file:{path}",
                shared_prefix=0,
                forces_length=forces_length,
                body_fields=dict(body_fields or {}),
                **changes,
            ),
        )
        return Asked(run, answers_of(run, is_read=is_read))

    def probe(
        self,
        prompt: str,
        max_output_tokens: int,
        *,
        messages: tuple[tuple[str, str], ...] | None = None,
        sampling: Sampling = _GREEDY,
        body_fields: Mapping[str, Any] | None = None,
        forces_length: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> Probe:
        """One request, answered in one piece, with the fields that a run would send.

        Raises: EngineError if nothing came.
        """
        kept = self.facts.extras
        if not forces_length:
            kept = {name: value for name, value in kept.items() if name not in self.facts.length_extras}
        request = Request(0, prompt, 0, max_output_tokens, sampling, is_streamed=False, messages=messages)
        self.n_requests += 1
        extras = {**kept, **(body_fields or {})}
        return probe(self.control, self.dialect, self.facts.model, extras, request, timeout_s=timeout_s)

    def count(self, text: str) -> int | None:
        """Tokens of a prompt as the server's own tokenizer counts it, template included; None where it has none."""
        counter = ServerCounter(self.control, self.engine, self.facts.model, is_chat=self.dialect.is_chat)
        return counter.count(text) if counter.find_way() else None

    def gauges(self) -> dict[str, float]:
        """What the server tells of itself now, in our vocabulary; empty where it publishes nothing that we know.

        Raises: EngineError, MetricsError if its page cannot be read.
        """
        return gauges_now(self.control, self.engine)

    def _carried_out(self, word: str, config: Experiment) -> Run:
        run = self.points.carry_out(config, word, facts=self.facts, is_staggered=config.requests is None).run
        self.n_requests += len(run.trace().requests)
        return run


def answers_of(run: Run, *, is_read: bool = True) -> tuple[Answered, ...]:
    """What a run of questions was answered, in their order; without texts unless they `is_read`.

    Raises: RunError if content was not kept.
    """
    texts = run.texts() if is_read else {}
    return tuple(_answered(row, texts.get(int(row["id"]), "")) for row in run.trace().requests)


def _answered(row: Any, text: str) -> Answered:
    sent, first, last = (int(row[name]) for name in ("t_sent_ns", "t_first_content_ns", "t_last_content_ns"))
    return Answered(
        outcome=Outcome(row["outcome"]),
        status=int(row["status"]),
        error=str(row["error"]),
        text=text,
        finish=str(row["finish"]),
        n_prompt_tokens=_told(row["n_prompt_tokens"]),
        n_output_tokens=_told(row["n_output_tokens"]),
        n_cached_tokens=_told(row["n_cached_tokens"]),
        ttft_s=(first - sent) / NS_PER_S if first > 0 else None,
        e2e_s=(last - sent) / NS_PER_S if last > 0 else None,
    )


def _told(count: Any) -> int | None:
    return None if count == NOT_TOLD else int(count)


def _line(question: Question) -> dict[str, Any]:
    """As a line of a prompt file."""
    if question.messages is None:
        asked: dict[str, Any] = {"prompt": question.prompt}
    else:
        asked = {"messages": [{"role": role, "content": content} for role, content in question.messages]}
    return asked | {"output_tokens": question.max_output_tokens}


@contextmanager
def bench(
    config: Experiment, observer: Observer, *, what: str, greatest: Experiment, budget_s: float
) -> Iterator[Bench]:
    """The folder made, the server started for the `greatest` load that may come, asked who it is, stopped in the end.

    Raises: UsageError, EngineError.
    """
    with points(config, observer, what=what, greatest=greatest) as taker:
        facts = experiment.facts_of(taker.subject, config)
        engine = next(engine for engine in engines() if engine.name == facts.engine)
        with Control(facts.url, headers=config.headers(), is_insecure=config.insecure) as control:
            yield Bench(config, taker, facts, engine, control, budget_s)

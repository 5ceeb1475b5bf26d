# SPDX-License-Identifier: Apache-2.0
"""`explain limits`: what a server takes and gives, what becomes of the rest, and what a model makes of long prompts.

Rule 1: each step has a share of the time, reckoned from what the steps before it took; what does not fit is listed.
Rule 2: how much is asked is decided before it is asked, never by what was answered so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferometer.analysis.cutting import STRATEGIES, Cutting, cutting_of
from inferometer.analysis.effective import Effective, Judged, effective_of
from inferometer.analysis.finding import Row
from inferometer.analysis.reach import Pair, Part, parts_of
from inferometer.analysis.token_limits import LimitsExamination, Output, Speed, headline_of
from inferometer.analysis.token_limits_findings import findings_of
from inferometer.analysis.window import Trial, Window
from inferometer.clock import utc_now
from inferometer.errors import EngineError, UsageError
from inferometer.metrics.summary import Summary, summarize
from inferometer.probes.bench import Bench, Question
from inferometer.probes.explain import long_questions as questions
from inferometer.probes.explain.filler import Counting, counting, filler
from inferometer.probes.explain.long_speed import timed
from inferometer.probes.explain.window import FAR, Prober
from inferometer.probes.points import Stopped
from inferometer.tasks import CountTokens, is_right

BUDGET_S = 300.0
STARTED_CONTEXT = 8_192  # tokens, of a server that we start without a word on its context
CONCURRENCY = 4  # of questions whose time is not measured
_SEARCH, _OUTPUT, _SPEED, _REACH, _QUALITY = 0.2, 0.15, 0.15, 0.25, 0.6  # of the time there is, or that is left
_MARGIN = 0.9  # of the longest prompt: tokens of a question are reckoned, not counted
_SHORTEST = 128
_EACH = 5  # questions at each depth in a round
_FEWEST_PAIRS, _FEWEST_CUT = 2, 20
_TINY_S = 1e-3


@dataclass(frozen=True, slots=True)
class Amounts:
    """What is asked at most, where there is time; 0: that is not wanted. `rounds`: of five questions a depth: four make
    20 a cell, 100 a length; `pairs`: of twins for each part; `cut`: questions under each strategy; `speed`: requests at
    each length."""

    rounds: int = 4
    pairs: int = 4
    cut: int = 100
    speed: int = 6


@dataclass(slots=True)
class _Going:
    """An examination on its way."""

    bench: Bench
    budget_s: float
    seed: int
    most: Amounts
    count: Counting
    not_measured: list[str] = field(default_factory=list)
    facts: Summary | None = None
    tokens: CountTokens | None = None
    speeds: list[Speed] = field(default_factory=list)
    times: dict[int, float] = field(default_factory=dict)  # seconds of one question, by length aimed at
    overhead_s: float = 0.0  # of a run, beside its questions
    window: Window | None = None
    far: str = ""
    overflow: Output | None = None
    outputs: list[Output] = field(default_factory=list)
    control: list[Part] = field(default_factory=list)
    reach: list[Part] = field(default_factory=list)
    effective: Effective | None = None
    cutting: Cutting | None = None
    n_before: int = 0
    _t_start_s: float = 0.0

    def __post_init__(self) -> None:
        self._t_start_s, self.n_before = self.bench.used_s(), self.bench.n_requests

    def used_s(self) -> float:
        return self.bench.used_s() - self._t_start_s

    def left_s(self) -> float:
        return self.budget_s - self.used_s()

    def go(self) -> None:
        longest = self.find_window()
        self.tokens = questions.counter_of(self.count, self.seed)
        if longest is None or self.tokens is None:
            self.not_measured.append("speed, answers and parts of long prompts: no length is known that is taken")
            return
        lengths = _lengths(_most(longest))
        if self.most.speed:
            lengths = self.measure_speed(lengths)
        if not self.bench.config.keeps_content:
            self.not_measured.append("which parts reach the model, and whether answers are right: no content is kept")
            return
        self.find_parts(longest)
        if self.most.rounds:
            self.judge(lengths)
        if self.most.cut:
            self.judge_cutting()

    # what it takes and gives

    def find_window(self) -> int | None:
        made = filler(self.count)
        prober = Prober(self.bench, made, _SEARCH * self.budget_s, self.left_s)
        self.window = prober.window(self.bench.facts.longest_prompt())
        longest = self.window.longest
        if not self.window.is_exact:
            self.not_measured.append(f"the limit to the token: {self.window.why}")
        if longest is None:
            return None
        if self.window.beyond is not None and self.window.beyond.what != "lost":
            far = prober.far(FAR * max(longest, self.window.advertised or 0))
            self.far = _in_words(far) if far is not None else ""
        self.overflow = prober.overflow(longest)
        self.outputs = prober.outputs(max(longest, self.bench.facts.context_tokens or 0), _OUTPUT * self.budget_s)
        last = self.outputs[-1]
        if last.what == "ended":
            self.not_measured.append(
                f"the longest answer: the model ended one of {last.n_given:,} tokens itself, and it cannot be forced on"
            )
        elif last.what == "lost":
            self.not_measured.append(f"the longest answer: {last.said}")
        elif last.what == "given" and last.n_asked < longest + 1 - last.n_prompt:
            self.not_measured.append(f"answers of more than {last.n_asked:,} tokens: they would take too long")
        return longest

    # speed and memory

    def measure_speed(self, lengths: list[int]) -> list[int]:
        """The times of one request at each length, up to the longest that there is time for; the lengths measured."""
        done: list[int] = []
        for size in lengths:
            if self.times and self._cost_s(size, self.most.speed) > _SPEED * self.left_s():
                self.not_measured.append(f"prompts of {size:,} tokens and more: one takes {self._time_of(size):.1f} s")
                break
            self.speeds.append(self._speed(size))
            done.append(size)
        return done

    def _cost_s(self, size: int, n: int) -> float:
        """Of a run of so many questions, one after another."""
        return self.overhead_s + n * self._time_of(size)

    def _time_of(self, size: int) -> float:
        """Seconds of a question of that length, to make and to answer: as those of the next longer one took, or more
        than the longest, whose prompts may take up to four times as long when doubled."""
        known = sorted(self.times.items())
        if not known:
            return 0.0
        n_tokens, seconds = next((one for one in known if one[0] >= size), known[-1])
        return float(seconds * max(1.0, size / n_tokens) ** 1.5)

    def _speed(self, size: int) -> Speed:
        t_start_s = self.bench.used_s()
        asked = questions.by_depth(size, self.most.speed, self.seed + 1, self._counter())
        made_s = self.bench.used_s()  # of long prompts it takes its time
        found = timed(self.bench, f"speed-{size}", [one.question.prompt for one in asked], size)
        self.overhead_s = max(0.0, self.bench.used_s() - made_s - found.in_flight_s)  # of a run; the first has the most
        if found.n_answered:
            self.times[size] = found.in_flight_s / found.n_answered + (made_s - t_start_s) / len(asked)
        self.facts = self.facts or summarize(found.run.trace())
        return found.speed

    # which parts reach the model

    def find_parts(self, longest: int) -> None:
        control = min(512, max(96, longest // 12))
        most = 1.2 * max(self.times, default=longest)
        wanted = [size for size in (_most(longest), longest // 2) if size <= most]
        wanted += [_beyond(longest, self.window.advertised)] if self.window is not None and self.window.cuts else []
        n_pairs = {control: self.most.pairs}
        for size in wanted:
            n = int(_REACH * (self.left_s() - self.overhead_s) / max(6 * self._time_of(size), _TINY_S))
            if n < _FEWEST_PAIRS:
                self.not_measured.append(f"which parts of {size:,} tokens reach the model: no time was left")
            else:
                n_pairs[size] = min(n, self.most.pairs)
        pairs = self._twins(n_pairs)
        self.control = parts_of(pairs[control], pairs[control])
        self.reach = [part for size in n_pairs if size != control for part in parts_of(pairs[size], pairs[control])]

    def _twins(self, n_pairs: dict[int, int]) -> dict[int, list[Pair]]:
        """Pairs by length, asked all together."""
        made = [
            (size, twins)
            for size, n in n_pairs.items()
            for twins in questions.twins_of(size, n, self.seed, self._counter())
        ]
        asked = [question for _, twins in made for question in twins.questions]
        answers = self.bench.ask("twins", asked, forces_length=True).answers
        found: dict[int, list[Pair]] = {size: [] for size in n_pairs}
        for (size, twins), first, second in zip(made, answers[::2], answers[1::2], strict=True):
            both = zip(twins.answers, (first, second), strict=True)
            n_found = sum(code.casefold() in one.text.casefold() for code, one in both)
            is_answered = first.is_ok and second.is_ok
            found[size].append(Pair(size, twins.part, first.text == second.text, n_found, is_answered))
        return found

    # are answers right

    def judge(self, lengths: list[int]) -> None:
        """Rounds over all lengths, as many as there is time for."""
        budget_s = _QUALITY * self.left_s() - self.overhead_s
        n_round = _EACH * len(questions.DEPTHS)
        while lengths and n_round * sum(map(self._time_of, lengths)) > budget_s:
            self.not_measured.append(f"whether answers at {lengths[-1]:,} tokens are right: no time was left")
            lengths = lengths[:-1]
        if not lengths:
            return
        n_rounds = int(budget_s / max(n_round * sum(map(self._time_of, lengths)), _TINY_S))
        n_each = min(self.most.rounds, n_rounds) * n_round
        asked = [
            (size, one) for size in lengths for one in questions.by_depth(size, n_each, self.seed, self._counter())
        ]
        answers = self.bench.ask("depths", [one.question for _, one in asked], concurrency=CONCURRENCY).answers
        judged = [
            Judged(size, answer.n_prompt_tokens, one.depth, is_right(one.answer, answer.text), answer.is_ok)
            for (size, one), answer in zip(asked, answers, strict=True)
        ]
        self.effective = effective_of(judged)
        self.bench.say(f"answers   {sum(one.is_right for one in judged)} of {len(judged)} questions are right")

    def judge_cutting(self) -> None:
        """The same questions, their prompts twice as long as what is kept of them."""
        effective = self.effective
        if effective is None or effective.threshold is None:
            self.not_measured.append("what is best kept of a long prompt: answers are not right in short ones either")
            return
        longest = self.window.longest if self.window is not None else None
        n_to = int(effective.length.value or effective.lengths[0].n_tokens)
        n_to = max(_SHORTEST, min(n_to, (longest or n_to) // 2))
        n = int((0.9 * self.left_s() - self.overhead_s) / max(len(STRATEGIES) * self._time_of(n_to), _TINY_S))
        if min(n, self.most.cut) < _FEWEST_CUT:
            self.not_measured.append("what is best kept of a long prompt: no time was left")
            return
        asked = questions.anywhere(2 * n_to, min(n, self.most.cut), self.seed + 2, self._counter())
        made = [
            Question(questions.cut(one.question.prompt, 0.5, strategy), questions.ANSWER_TOKENS)
            for strategy in STRATEGIES
            for one in asked
        ]
        answers = self.bench.ask("cut", made, concurrency=CONCURRENCY).answers
        right = {
            strategy: [
                is_right(one.answer, answer.text)
                for one, answer in zip(asked, answers[i * len(asked) : (i + 1) * len(asked)], strict=True)
            ]
            for i, strategy in enumerate(STRATEGIES)
        }
        self.cutting = cutting_of(right, n_from=2 * n_to, n_to=n_to)

    def _counter(self) -> CountTokens:
        if self.tokens is None:
            raise AssertionError("lengths were asked for before tokens could be counted")
        return self.tokens


def examine(bench: Bench, budget_s: float = BUDGET_S, *, seed: int = 0, most: Amounts = Amounts()) -> LimitsExamination:
    """Carry it out; what could not be measured is in the row.

    Raises: UsageError if the API takes no words; EngineError if the server counts no tokens; Stopped if the server or
    the user ended it before there was anything to say.
    """
    if not bench.dialect.takes_text:
        raise UsageError("limits are asked for in words, and this API takes nothing but token ids", "take --api chat")
    going = _Going(bench, budget_s, seed, most, counting(bench))
    stopped = ""
    try:
        going.go()
    except (Stopped, EngineError) as ended:
        if going.window is None:
            raise
        stopped = str(ended)
        going.not_measured.append(f"what was to follow: {stopped}")
    return _result(going, stopped)


def _result(going: _Going, stopped: str) -> LimitsExamination:
    window = going.window
    if window is None:
        raise AssertionError("an examination without a search has no result")
    seconds, facts = going.used_s(), going.facts
    found = findings_of(window, going.overflow, going.outputs, going.reach, going.effective)
    headline, figure, bound = headline_of(window, going.effective)
    row = Row(
        challenge="limits",
        headline=headline,
        figure=figure,
        bound=bound,
        findings=found,
        not_measured=list(dict.fromkeys(going.not_measured)),
        seconds=seconds,
        n_requests=going.bench.n_requests - going.n_before,
    )
    return LimitsExamination(
        row=row,
        window=window,
        far=going.far,
        overflow=going.overflow,
        outputs=going.outputs,
        control=going.control,
        reach=going.reach,
        effective=going.effective,
        speeds=going.speeds,
        cutting=going.cutting,
        counts_by=going.count.source,
        n_counts=going.count.n_asked,
        seconds=seconds,
        budget_s=going.budget_s,
        created=utc_now().isoformat(timespec="seconds"),
        engine=dict(facts.engine) if facts else _engine(going.bench),
        host=dict(facts.host) if facts else {},
        versions=dict(facts.versions) if facts else {},
        stopped=stopped,
    )


def _engine(bench: Bench) -> dict[str, str]:
    """What is known of it without a run."""
    told = bench.facts
    return {"name": told.engine, "title": told.title, "version": told.version, "model": told.model}


def _most(longest: int) -> int:
    """Tokens of a long prompt that still leaves room for its answer."""
    return int(_MARGIN * (longest - questions.TWIN_TOKENS))


def _beyond(longest: int, advertised: int | None) -> int:
    """Tokens of a prompt that is cut: as long as the server says it takes, for much to be lost, or half as long again
    as what it keeps."""
    told = _most(advertised or 0)
    return told if told > 1.1 * longest else int(1.5 * longest)


def _lengths(most: int) -> list[int]:
    """Doubling from the shortest; the last is the longest there is."""
    sizes = [_SHORTEST]
    while sizes[-1] * 2 < most:
        sizes.append(sizes[-1] * 2)
    if most > _SHORTEST:
        sizes = [size for size in sizes if size * 1.25 < most] + [most]
    return sizes


def _in_words(trial: Trial) -> str:
    words = {"whole": "taken whole", "cut": f"cut to {trial.n_counted or 0:,} without a word", "lost": "not answered"}
    return f"{trial.n_sent:,} tokens: " + words.get(trial.what, f"refused: {trial.said}")

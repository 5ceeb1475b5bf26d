# SPDX-License-Identifier: Apache-2.0
"""Does `choose` choose right? Twenty seeded choices a case, among engines of which the truth is known.

    python benchmarks/choose.py [--cases winner,load,lengths,limits,tie] [--choices 20] [--jobs 2]

The engines are simulated: the same batching and service law as `inferometer emulate` has, driven without a socket, so
that half an hour of choosing takes seconds. The rounds, what is dropped, the intervals and the answer are those of
`inferometer choose`, whole: only what takes a turn differs. On top, every start is a little different, and the machine
drifts from turn to turn.
Truth: the same engines over many long runs, without drift.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from inferometer.analysis.candidate import Course, Entry
from inferometer.analysis.choice import Choice, Workload
from inferometer.analysis.conclude import Asked, conclude
from inferometer.analysis.contest import CHOICE, Sheet, Terms, Where, mean_of
from inferometer.analysis.places import places_of
from inferometer.analysis.turn import Point, Turn, points_of
from inferometer.emulate.batch import Batch
from inferometer.emulate.batch import Sequence as Running
from inferometer.emulate.law import ServiceLaw
from inferometer.emulate.prefixes import PrefixCache
from inferometer.kinds import Outcome, Phase
from inferometer.metrics.slo import parse_limits
from inferometer.metrics.summary import summarize
from inferometer.probes.elimination import Elimination
from inferometer.records import CHUNK, SAMPLE, Trace, empty_requests
from inferometer.stats import Missing
from inferometer.units import NS_PER_S, format_span

WINDOW_S, WARMUP_S, START_S, OVERHEAD_S = 8.0, 2.0, 2.0, 1.0
START_SD = 0.01  # of the log of all times of a turn: what differs from start to start
DRIFT_SD, DRIFT_PHI = 0.03, 0.9  # of the log of the machine's speed from turn to turn: an AR(1) series
TRUE_ROUNDS, TRUE_WINDOW_S = 4, 200.0
ATTAINMENT, TOLERANCE = 0.95, 0.05


@dataclass(frozen=True)
class Engine:
    """An emulated engine, as one candidate."""

    name: str
    law: ServiceLaw
    n_slots: int


@dataclass(frozen=True)
class Lengths:
    """Tokens of prompts and answers, from to."""

    name: str
    prompts: tuple[int, int]
    answers: tuple[int, int]


SMALL = Lengths("small", (64, 128), (16, 32))
LONG = Lengths("long prompts", (1024, 2048), (16, 32))


@dataclass(frozen=True)
class Case:
    """`verdict`, `preferred`: planted, "" for any; `flip`: the title of a place, and who it flips to."""

    name: str
    says: str
    engines: tuple[Engine, ...]
    workloads: tuple[Lengths, ...]
    loads: tuple[int, ...]
    slo: str
    budget_s: float
    verdict: str
    preferred: str = ""
    flip: tuple[str, str] = ("", "")


def engine(name: str, a: float, b: float, c: float, n_slots: int = 16) -> Engine:
    return Engine(name, ServiceLaw(a=a, b=b, c=c, d=0.0005, noise=0.02), n_slots)


CASES = (
    Case(
        "winner",
        "four engines, one of them 8 % faster than the next, one slow, one that misses the limits",
        (
            engine("quick", 18.5, 0.05, 0.6),
            engine("next", 20.0, 0.05, 0.65),
            engine("slow", 30.0, 0.08, 0.9),
            engine("late", 80.0, 0.2, 2.0),
        ),
        (SMALL,),
        (2, 8),
        "ttft<500ms,tpot<50ms",
        1800.0,
        "prefer",
        "quick",
    ),
    Case(
        "load",
        "wide serves 16 at a time; swift is 15 % faster alone, with 4 slots",
        (engine("wide", 20.0, 0.05, 0.4), engine("swift", 17.0, 0.05, 0.4, 4)),
        (SMALL,),
        (1, 4, 16),
        "ttft<2s,tpot<60ms",
        1800.0,
        "prefer",
        "wide",
        ("at 1 in flight", "swift"),
    ),
    Case(
        "lengths",
        "talker decodes 20 % faster, reader takes prompts in a third of the time",
        (engine("talker", 16.0, 0.09, 0.5), engine("reader", 20.0, 0.03, 0.5)),
        (SMALL, LONG),
        (2, 8),
        "ttft<3s,tpot<200ms",
        1800.0,
        "prefer",
        "talker",
        ("with the workload long prompts", "reader"),
    ),
    Case(
        "limits",
        "wide is best with 16 in flight, where a token takes 25 ms: too long within half the limits",
        (engine("wide", 17.0, 0.05, 0.45), engine("swift", 12.5, 0.05, 0.9, 8)),
        (SMALL,),
        (4, 8, 16),
        "ttft<1s,tpot<40ms",
        1800.0,
        "prefer",
        "wide",
        ("within half the limits", "swift"),
    ),
    Case(
        "tie",
        "three times the same engine under three names",
        (engine("one", 20.0, 0.05, 0.5), engine("other", 20.0, 0.05, 0.5), engine("third", 20.0, 0.05, 0.5)),
        (SMALL,),
        (2, 8),
        "ttft<500ms,tpot<50ms",
        1800.0,
        "same",
    ),
    Case(
        "close",
        "one is 3 % faster than the other: less than is to be told apart, and never the wrong way round",
        (engine("ahead", 19.4, 0.0485, 0.485), engine("behind", 20.0, 0.05, 0.5)),
        (SMALL,),
        (2, 8),
        "ttft<500ms,tpot<50ms",
        1800.0,
        "",
        "ahead",
    ),
)


# --- an engine in virtual time -------------------------------------------------------------------------------------


def simulate(one: Engine, lengths: Lengths, load: int, window_s: float, speed: float, seed: Sequence[int]) -> Trace:
    """A run in closed loop, as records: `load` slots that open one after the other, each with the next request as soon
    as its last is answered."""
    rng = np.random.default_rng(seed)
    law = ServiceLaw(*(speed * cost for cost in (one.law.a, one.law.b, one.law.c, one.law.d)), noise=one.law.noise)
    batch = Batch(law, n_slots=one.n_slots, kv_tokens=1 << 40, prefixes=PrefixCache(0), seed=int(rng.integers(1 << 30)))
    t_end_ns = round((WARMUP_S + window_s) * NS_PER_S)
    done: list[Running] = []

    def next_one(t_ns: int) -> Running:
        n_prompt = int(rng.integers(lengths.prompts[0], lengths.prompts[1] + 1))
        n_answer = int(rng.integers(lengths.answers[0], lengths.answers[1] + 1))
        return Running(n_prompt, n_answer, t_ns)

    coming = [next_one(round(i * 0.8 * WARMUP_S / load * NS_PER_S)) for i in range(load)]
    t_ns = 0
    while True:
        while coming and coming[0].t_arrival_ns <= t_ns:
            done.append(coming.pop(0))
            batch.arrive(done[-1])
        iteration = batch.begin(t_ns)
        if iteration is None:
            if not coming:
                break
            t_ns = coming[0].t_arrival_ns
            continue
        for _ in batch.complete(iteration):
            if iteration.t_end_ns < t_end_ns:
                coming.append(next_one(iteration.t_end_ns))
        coming.sort(key=lambda request: request.t_arrival_ns)
        t_ns = iteration.t_end_ns
    return trace_of(done, window_s)


def trace_of(done: Sequence[Running], window_s: float) -> Trace:
    n = len(done)
    requests = empty_requests(n)
    requests["id"] = requests["session"] = np.arange(n)
    requests["t_due_ns"] = requests["t_sent_ns"] = [each.t_arrival_ns for each in done]
    requests["phase"] = np.where(requests["t_due_ns"] < WARMUP_S * NS_PER_S, Phase.WARMUP, Phase.MAIN)
    requests["outcome"], requests["attempt"], requests["status"] = Outcome.OK, 1, 200
    requests["t_first_content_ns"] = [each.t_first_ns for each in done]
    requests["t_last_content_ns"] = requests["t_end_ns"] = [each.t_last_ns for each in done]
    for name, values in (("prompt", [e.n_prompt_tokens for e in done]), ("output", [e.n_output_tokens for e in done])):
        requests[f"n_{name}_tokens"] = requests[f"n_{name}_tokens_asked"] = values
    ends_ns = [round(t * NS_PER_S) for t in (WARMUP_S, WARMUP_S + window_s)]
    window = {"trial": 0, "t_start_ns": ends_ns[0], "t_end_ns": ends_ns[1]}
    return Trace(requests, np.zeros(0, CHUNK), np.zeros(0, SAMPLE), {"plan": {"mode": "closed"}, "windows": [window]})


class Machine:
    """Takes turns of a case. Its speed drifts from turn to turn, whoever's turn it is."""

    def __init__(self, case: Case, seed: int, *, window_s: float = WINDOW_S, is_still: bool = False) -> None:
        self._case, self._seed, self._window_s, self._is_still = case, seed, window_s, is_still
        self._rng = np.random.default_rng((1, seed))
        self._drift = self._rng.normal()

    def take(self, candidate: int, round_: int) -> Turn:
        self._drift = DRIFT_PHI * self._drift + np.sqrt(1 - DRIFT_PHI**2) * self._rng.normal()
        speed = float(np.exp(DRIFT_SD * self._drift + START_SD * self._rng.normal()))
        points: list[Point] = []
        for i, lengths in enumerate(self._case.workloads):
            for load in self._case.loads:
                draw = (2, self._seed, round_, i, load)  # the same requests for all candidates of a round
                speed_here = 1.0 if self._is_still else speed
                one = self._case.engines[candidate]
                trace = simulate(one, lengths, load, self._window_s, speed_here, draw)
                summary = summarize(trace, parse_limits(""))
                points += points_of(
                    trace, summary, parse_limits(self._case.slo), workload=i, load=float(load), folder=""
                )
        seconds = START_S + len(points) * (WARMUP_S + self._window_s + OVERHEAD_S)
        return Turn(candidate, round_, tuple(points), START_S, None, seconds)


# --- choices -------------------------------------------------------------------------------------------------------


def terms_of(case: Case) -> Terms:
    n = len(case.engines)
    loads = tuple(float(load) for load in case.loads)
    return Terms(ATTAINMENT, TOLERANCE, {"throughput": 1.0}, loads, len(case.workloads), (1.0,) * n, (None,) * n)


@dataclass(frozen=True)
class Chosen:
    """What came of one seed. `naive`: whose first run was the fastest at its best load: one run each, no interval."""

    found: Choice
    dropped: dict[int, int]
    naive: str


def choose(case: Case, seed: int) -> Chosen:
    machine, terms = Machine(case, seed), terms_of(case)
    live = range(len(case.engines))
    contest = Elimination(terms, live, machine.take, case.budget_s, np.random.default_rng((3, seed)))
    contest.run()
    asked = Asked(
        tuple(Workload(each.name, "", "", 0, "") for each in case.workloads),
        "concurrency",
        case.slo,
        "",
        "",
        WINDOW_S,
        WARMUP_S,
        case.budget_s,
        "",
        "",
    )
    course = Course(
        contest.turns, contest.dropped, contest.n_rounds, contest.spent_s, contest.round_s(), contest.stopped
    )
    entries = [Entry(each.name, "started", each.name) for each in case.engines]
    found = conclude(entries, [], terms, asked, course, host={}, versions={})
    first = Sheet(terms, [turn for turn in contest.turns if turn.round == 1])
    figures = {k: figure for k in live if not isinstance(figure := first.figure(k), Missing)}
    naive = max(figures, key=lambda k: mean_of(figures[k]))
    return Chosen(found, contest.dropped, case.engines[naive].name)


@cache
def truth_of(case: Case) -> Sheet:
    machine = Machine(case, 0, window_s=TRUE_WINDOW_S, is_still=True)
    turns = [machine.take(k, i + 1) for k in range(len(case.engines)) for i in range(TRUE_ROUNDS)]
    return Sheet(terms_of(case), turns)


def truth_text(case: Case) -> list[str]:
    """The true figure of each engine for the choice and at each load, so that what was planted can be seen."""
    sheet = truth_of(case)
    wheres = [("choice", CHOICE)]
    wheres += [(f"{load} in flight", Where(0, float(load))) for load in case.loads]
    wheres += [(lengths.name, Where(i)) for i, lengths in enumerate(case.workloads) if i]
    wheres += [("half the limits", Where(0, None, 0.5))]
    rows = []
    for k, one in enumerate(case.engines):
        told = []
        for _, where in wheres:
            figure = sheet.figure(k, where)
            told.append("-" if isinstance(figure, Missing) else f"{np.exp(mean_of(figure)):.2f}")
        rows.append(f"| {one.name} | {' | '.join(told)} |")
    return [f"| true requests/s | {' | '.join(name for name, _ in wheres)} |", "|---" * (len(wheres) + 1) + "|", *rows]


def false_flips(case: Case, found: Choice) -> list[str]:
    """Places at which another one was said to be better, and is not."""
    sheet, names = truth_of(case), [one.name for one in case.engines]
    wrong = []
    for place, where in zip(found.places, places_of(terms_of(case)), strict=True):
        if place.flips_to:
            mine, other = (sheet.figure(names.index(name), where) for name in (found.preferred, place.flips_to))
            if isinstance(other, Missing) or (not isinstance(mine, Missing) and mean_of(other) <= mean_of(mine)):
                wrong.append(place.title)
    return wrong


def held(case: Case, found: Choice) -> tuple[int, int]:
    """Of the intervals against the preferred one, how many hold the true ratio, and how many there are."""
    sheet, names = truth_of(case), [one.name for one in case.engines]
    figures = {name: sheet.figure(k) for k, name in enumerate(names)}
    mine, n_held, n = figures[found.preferred], 0, 0
    for one in found.candidates:
        figure = figures[one.name]
        if one.ratio.lo is None or one.ratio.hi is None or isinstance(figure, Missing) or isinstance(mine, Missing):
            continue
        true = np.exp(mean_of(figure) - mean_of(mine))
        n_held += one.ratio.lo <= true <= one.ratio.hi
        n += 1
    return n_held, n


def is_right(case: Case, found: Choice) -> bool:
    """What was planted was found."""
    title, to = case.flip
    flips = {place.title: place.flips_to for place in found.places if place.flips_to}
    is_flip_right = not title or flips.get(title) == to
    is_named_right = case.preferred in ("", found.preferred)
    if not case.verdict:
        return is_named_right or found.verdict != "prefer"
    return found.verdict == case.verdict and is_named_right and is_flip_right


def report(case: Case, n_choices: int, pool: ProcessPoolExecutor) -> None:
    waiting = [pool.submit(choose, case, seed) for seed in range(n_choices)]
    print(f"\n{case.name}: {case.says}; {case.slo} by {ATTAINMENT:.0%}, budget {format_span(case.budget_s)}\n")
    print("\n".join(truth_text(case)) + "\n")
    print("  seed  verdict      preferred  rounds    time  of next [interval]     dropped after    flips to")
    n_right = n_wrong = n_flips = n_false = n_naive = n_held = n_intervals = 0
    spent = []
    for seed, each in enumerate(waiting):
        chosen = each.result()
        found, dropped = chosen.found, chosen.dropped
        right = is_right(case, found)
        n_flips += sum(bool(place.flips_to) for place in found.places)
        n_false += len(false_flips(case, found))
        n_naive += chosen.naive == case.preferred
        n_held, n_intervals = (a + b for a, b in zip((n_held, n_intervals), held(case, found), strict=True))
        n_right += right
        n_wrong += found.verdict == "prefer" and bool(case.preferred) and found.preferred != case.preferred
        n_wrong += found.verdict == "prefer" and case.verdict == "same"
        spent.append(found.seconds)
        names = [one.name for one in found.candidates]
        gone = " ".join(f"{names[k]}:{n}" for k, n in dropped.items()) or "-"
        flips = "; ".join(f"{place.title}: {place.flips_to}" for place in found.places if place.flips_to) or "-"
        nearest = max((one.ratio for one in found.candidates if one.ratio.value), key=lambda r: r.value or 0.0)
        shown = f"{nearest.value:.3f} [{nearest.lo or 0:.3f}, {nearest.hi or 0:.3f}]"
        print(
            f"  {seed:4}  {found.verdict:11}  {found.preferred:9}  {found.n_rounds:6}  {found.seconds:5.0f} s  "
            f"{shown:21}  {gone:15}  {flips}{'' if right else '   <- not what was planted'}"
        )
    even_s = len(case.engines) * len(case.loads) * len(case.workloads) * (WINDOW_S + WARMUP_S + OVERHEAD_S)
    print(
        f"  as planted: {n_right} of {n_choices}; shown wrong: {n_wrong}; {np.mean(spent):,.0f} s on average of "
        f"{case.budget_s:,.0f} s; a round of all takes {even_s + START_S * len(case.engines):,.0f} s"
    )
    naive = f"names the right one {n_naive} times" if case.preferred else "names one every time"
    print(
        f"  flips shown: {n_flips}, of them wrong: {n_false}; intervals that hold the true ratio: {n_held} of "
        f"{n_intervals}; one run each, the fastest taken, {naive}"
    )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(case.name for case in CASES))
    parser.add_argument("--choices", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    told = parser.parse_args()
    with ProcessPoolExecutor(told.jobs) as pool:
        for case in CASES:
            if case.name in told.cases.split(","):
                report(case, told.choices, pool)


if __name__ == "__main__":
    main()

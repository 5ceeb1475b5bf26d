# SPDX-License-Identifier: Apache-2.0
"""Whether the verdict sees what is wrong: runs spoiled on purpose, what was said of them, and what they printed.

    python benchmarks/spoiled_runs.py [--only stopped,queue] [--repeats 20] [--results spoiled-runs.json]

Rule 1: a run is `inferometer run` as it stands, against the ground-truth server; what spoils it does so from outside.
Rule 2: client and server each have a core. Conditions take turns, so that a busy moment of the machine hits all alike.
Rule 3: the truth is what the server logged. Where the server itself was the disturbance, what was printed is true, and
the comparison is with the healthy runs.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inferometer.clock import sleep_s
from inferometer.kinds import TOKEN_BEARING, Phase
from inferometer.metrics.summary import summarize
from inferometer.report.json import to_json
from inferometer.run_folder import Run
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import TruthLog
from inferometer.truth.script import Prescription

WARMUP_S = 1.0
WINDOW_S = 6.0
WITHIN_S = 60.0  # a run takes some nine seconds
LOAD = ("--concurrency", "16", "--warmup", f"{WARMUP_S:g}s", "--for", f"{WINDOW_S:g}s")
LENGTHS = ("--input-tokens", "128", "--output-tokens", "32")
# An answer takes 360 ms; 16 users get about 270 of them in six seconds. Gaps differ as those of a busy engine do.
HEALTHY = {"ttft_ms": 50.0, "gap_ms": 10.0, "jitter": "lognormal"}
N_NEIGHBOURS = 3
_CONTROL = struct.Struct("@qqqq")  # as in spoil_shim.c
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Client:
    """A run under way, and the means to spoil it. `core`: where it is, and nobody else unless put there."""

    def __init__(self, argv: Sequence[str], core: int, shim: Path, folder: Path) -> None:
        self.core = core
        self._recorder = folder / "run" / "recorder.bin"
        control = folder / "control"
        control.write_bytes(bytes(_CONTROL.size))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), _CONTROL.size)
        argv = [sys.executable, "-m", "inferometer", "run", *argv, "--quiet", "--format", "json"]
        argv += ["--out", str(self._recorder.parent)]
        self._process = subprocess.Popen(
            ["taskset", "-c", str(core), *argv],
            stdout=subprocess.PIPE,
            env=os.environ | {"LD_PRELOAD": str(shim), "SPOIL_CONTROL": str(control)},
        )

    def report(self) -> dict[str, Any]:
        """The JSON report, once the run is over."""
        out, _ = self._process.communicate(timeout=WITHIN_S)
        return json.loads(out)

    def wait_for_window(self, after_s: float) -> None:
        """Until so long after the measured window began, give or take what the first requests took."""
        t_give_up = time.monotonic() + WITHIN_S
        while not (self._recorder.exists() and self._recorder.stat().st_size > 10_000):
            if self._process.poll() is not None or time.monotonic() > t_give_up:
                raise SystemExit("the run ended, or did not begin: try it without spoiling it")
            sleep_s(0.01)
        sleep_s(WARMUP_S + after_s)

    def set_writes_ns(self, longer_ns: int) -> None:
        self._set(longer_ns, 0, 0, 0)

    def step_wall_clock(self, step_ns: int, for_ns: int) -> None:
        """From 10 ms ahead on the wall clock is another, and then the old one again."""
        from_ns = time.time_ns() + 10 * NS_PER_MS
        self._set(0, step_ns, from_ns, from_ns + for_ns)

    def _set(self, *fields: int) -> None:
        self._control[:] = _CONTROL.pack(*fields)

    def stop_for(self, seconds: float) -> None:
        """The interpreter itself: taskset has become it."""
        os.kill(self._process.pid, signal.SIGSTOP)
        sleep_s(seconds)
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        self._control.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


# -- what spoils a run ------------------------------------------------------------------------------------------------


def nothing(client: Client) -> None:
    pass


def busy_neighbour(client: Client) -> None:
    """Other processes that never rest, on the client's core, from before the window until after it."""
    spin = ["taskset", "-c", str(client.core), sys.executable, "-c", "while True: pass"]
    neighbours = [subprocess.Popen(spin) for _ in range(N_NEIGHBOURS)]
    try:
        client.wait_for_window(WINDOW_S + 0.5)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


def stop(client: Client) -> None:
    client.wait_for_window(random.uniform(2, WINDOW_S - 2))
    client.stop_for(0.3)


def slow_disk(client: Client) -> None:
    client.wait_for_window(0)
    client.set_writes_ns(20 * NS_PER_MS)


def clock_step(client: Client) -> None:
    client.wait_for_window(random.uniform(2, WINDOW_S - 3))
    client.step_wall_clock(NS_PER_S, for_ns=NS_PER_S)


@dataclass(frozen=True)
class Condition:
    """`reason`: the code that must be among those given; empty for a run that must be valid."""

    name: str
    how: str
    reason: str
    spoil: Callable[[Client], None] = nothing
    server: dict[str, Any] = field(default_factory=dict)  # what its prescription has beyond the healthy one
    argv: tuple[str, ...] = (*LOAD, *LENGTHS)


OPEN = ("--warmup", f"{WARMUP_S:g}s", "--for", f"{WINDOW_S:g}s", *LENGTHS)
CONDITIONS = (
    Condition("healthy", "not at all", ""),
    Condition(
        "starved", f"{N_NEIGHBOURS} processes that never rest share the client's core", "client_starved", busy_neighbour
    ),
    Condition("stopped", "the client is stopped for 300 ms (SIGSTOP, SIGCONT)", "client_stalled", stop),
    Condition("slow disk", "each write to the recorder takes 20 ms longer", "slow_disk", slow_disk),
    Condition("clock step", "the wall clock goes forward by 1 s, and back a second later", "clock_steps", clock_step),
    Condition(
        "cache hits",
        "the server takes 112 of 128 prompt tokens from a cache, and answers after 15 ms instead of 50",
        "prefix_hits",
        server={"cached_tokens": 112, "ttft_ms": 15.0},
    ),
    Condition(
        "short outputs",
        "answers end after 20 of 32 tokens, though a probe had shown that lengths can be forced",
        "output_lengths",
        server={"most_tokens": 20},
    ),
    Condition("too few", "eight requests", "too_few", argv=("--concurrency", "4", "--requests", "8", *LENGTHS)),
    Condition(
        "queue",
        "60 requests/s arrive where 12 slots serve 33",
        "queue_growing",
        server={"slots": 12},
        argv=("--rate", "60", *OPEN),
    ),
    Condition(
        "throttled",
        "from the middle on the server takes 1.6 times as long for everything",
        "not_stationary",
        server={"slow_from": 180, "slow_factor": 1.6},
    ),
)


# -- one run ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """One number of a report: where it stands there, and how it is made from what the server logged."""

    title: str
    metric: str
    statistic: str
    scale: float  # to the unit of the title
    of_log: Callable[[Truth], float]


@dataclass(frozen=True)
class Truth:
    """What the server did for the measured requests. Shapes: ttft_s, tpot_s per request, gap_s per gap."""

    ttft_s: np.ndarray
    tpot_s: np.ndarray
    gap_s: np.ndarray
    tokens_per_s: float


def quantile_of(name: str, q: float) -> Callable[[Truth], float]:
    return lambda truth: float(np.quantile(getattr(truth, name), q))


SHOWN = (
    Shown("TTFT p50 ms", "ttft_s", "p50", 1e3, quantile_of("ttft_s", 0.5)),
    Shown("TTFT p99 ms", "ttft_s", "p99", 1e3, quantile_of("ttft_s", 0.99)),
    Shown("TPOT p50 ms", "tpot_s", "p50", 1e3, quantile_of("tpot_s", 0.5)),
    Shown("gap p99 ms", "gap_s", "p99", 1e3, quantile_of("gap_s", 0.99)),
    Shown("tokens/s", "output_throughput_tokens_per_s", "value", 1, lambda truth: truth.tokens_per_s),
)


def truth_of(run: Run, log: TruthLog, report: dict[str, Any]) -> Truth:
    """What the server logged of the measured requests of a run; its throughput over the run's steady window."""
    trace = run.trace()
    origin_ns = int(trace.meta["clock"]["origin_ns"])
    log = log.of_run(trace.meta["nonce"])
    measured = set(trace.requests["id"][trace.requests["phase"] == Phase.MAIN].tolist())
    (window,) = report["windows"]
    start_ns, end_ns = (origin_ns + int(window[name] * NS_PER_S) for name in ("t_steady_s", "t_end_s"))
    ttft, tpot, gaps = [], [], []
    n_tokens = 0
    for row, request in enumerate(log.requests):
        steps = log.steps_of(row)
        steps = steps[np.isin(steps["kind"], TOKEN_BEARING)]
        sent_ns = steps["t_before_ns"]
        n_tokens += int(steps["n_tokens"][(sent_ns >= start_ns) & (sent_ns < end_ns)].sum())
        if int(request["id"]) in measured and len(sent_ns) == len(steps) > 1:
            ttft.append(sent_ns[0] - request["t_arrival_ns"])
            gaps.append(np.diff(sent_ns))
            tpot.append((sent_ns[-1] - sent_ns[0]) / (steps["n_tokens"].sum() - 1))
    return Truth(
        np.array(ttft) / NS_PER_S,
        np.array(tpot) / NS_PER_S,
        np.concatenate(gaps) / NS_PER_S,
        n_tokens * NS_PER_S / (end_ns - start_ns),
    )


def one_run(condition: Condition, cores: tuple[int, int], shim: Path, kept: Path | None) -> dict[str, Any]:
    """A run under a condition: its verdict, and each number of SHOWN beside the truth. `kept`: for its records."""
    prescription = Prescription(**(HEALTHY | condition.server))
    server_core, client_core = cores
    with tempfile.TemporaryDirectory() as name, TruthServer(prescription, cpu=server_core) as server:
        folder = Path(name)
        client = Client((server.url, *condition.argv), client_core, shim, folder)
        try:
            condition.spoil(client)
            report = client.report()
        finally:
            client.end()
        truth = truth_of(Run.open(str(folder / "run")), server.stop(), report)
        if kept is not None:
            shutil.copytree(folder / "run", kept)
    true = {shown.title: shown.scale * shown.of_log(truth) for shown in SHOWN}
    return {"condition": condition.name, "kept": kept.name if kept else None, "true": true} | said(report)


FIDELITY = (
    "lateness_p99_s",
    "merged_ratio",
    "client_run_delay_ratio",
    "client_away_max_s",
    "client_write_ratio",
    "engine_run_delay_ratio",
    "clock_steps",
    "prefix_excess_ratio",
    "output_length_error_ratio",
)


def said(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a report."""
    printed = {}
    for shown in SHOWN:
        value = report["metrics"][shown.metric][shown.statistic]["value"]
        printed[shown.title] = {
            "value": None if value is None else shown.scale * value,
            "verdict": report["metric_verdicts"][shown.metric]["level"],
        }
    return {
        "level": report["verdict"]["level"],
        "reasons": report["verdict"]["reasons"],
        "n_requests": report["counts"]["planned"],
        "printed": printed,
        "fidelity": {name: report["fidelity"][name]["value"] for name in FIDELITY},
    }


# -- the tables -------------------------------------------------------------------------------------------------------


def verdict_table(runs: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| condition | how it was spoiled | verdicts | reasons (runs) | seen |", "|---|---|---|---|---|"]
    for condition, found in by_condition(runs):
        levels = Counter(run["level"] for run in found)
        codes = Counter(code for run in found for code in {reason["code"] for reason in run["reasons"]})
        n_seen = sum(is_seen(condition, run) for run in found)
        words = ", ".join(f"{n} {level}" for level, n in levels.most_common())
        reasons = ", ".join(f"`{code}` {n}" for code, n in codes.most_common()) or "none"
        lines.append(f"| {condition.name} | {condition.how} | {words} | {reasons} | {n_seen} of {len(found)} |")
    return lines


def is_seen(condition: Condition, run: dict[str, Any]) -> bool:
    """Called what it is: not valid, and for the right reason; or valid, where nothing was wrong."""
    if not condition.reason:
        return run["level"] == "valid"
    return run["level"] != "valid" and condition.reason in {reason["code"] for reason in run["reasons"]}


def number_table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Medians over the runs: printed / true. `?` and `!`: so marked in most of the reports."""
    titles = [shown.title for shown in SHOWN]
    lines = [f"| printed / true | {' | '.join(titles)} |", "|---" * (1 + len(titles)) + "|"]
    for condition, found in by_condition(runs):
        cells = [cell([(run["printed"][title], run["true"][title]) for run in found]) for title in titles]
        lines.append(f"| {condition.name} | {' | '.join(cells)} |")
    return lines


MARKS = {"valid": "", "suspect": "?", "invalid": "!"}


def cell(numbers: Sequence[tuple[dict[str, Any], float]]) -> str:
    values = [printed["value"] for printed, _ in numbers if printed["value"] is not None]
    (verdict, _), *_ = Counter(printed["verdict"] for printed, _ in numbers).most_common(1)
    text = f"{statistics.median(values):.4g}{MARKS[verdict]}" if len(values) > len(numbers) / 2 else "-"
    return f"{text} / {statistics.median(true for _, true in numbers):.4g}"


def by_condition(runs: Sequence[dict[str, Any]]) -> list[tuple[Condition, list[dict[str, Any]]]]:
    grouped = [(condition, [run for run in runs if run["condition"] == condition.name]) for condition in CONDITIONS]
    return [(condition, found) for condition, found in grouped if found]


def judged_again(run: dict[str, Any], keep: Path) -> dict[str, Any]:
    """The same run with the verdict that the rules give now; as it is, where its records were not kept."""
    if not run["kept"]:
        return run
    return run | said(json.loads(to_json(summarize(Run.open(str(keep / run["kept"])).trace()))))


def build_shim(folder: Path) -> Path:
    """Compile what spoils the client from inside."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("needs a C compiler (cc)")
    shim = folder / "spoil_shim.so"
    source = Path(__file__).with_name("spoil_shim.c")
    subprocess.run([compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return shim


def measured(
    conditions: Sequence[Condition], n_repeats: int, cores: tuple[int, int], keep: Path | None
) -> Iterator[dict[str, Any]]:
    """Every condition so often, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        shim = build_shim(Path(folder))
        for _ in range(n_repeats):
            for condition in conditions:
                kept = None
                if keep is not None:
                    name = condition.name.replace(" ", "-")
                    kept = keep / f"{name}-{sum(1 for _ in keep.glob(name + '-*')) + 1}"
                found = one_run(condition, cores, shim, kept)
                codes = [reason["code"] for reason in found["reasons"]]
                print(f"{condition.name}: {found['level']} {' '.join(codes)}", file=sys.stderr, flush=True)
                yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="conditions, separated by commas; default: all")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--results", type=Path, help="JSON lines, one per run; what is there already counts too")
    parser.add_argument("--keep", type=Path, help="folder to keep the records of the runs in")
    parser.add_argument("--again", action="store_true", help="run nothing: judge what is in --keep by the rules of now")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else [condition.name for condition in CONDITIONS]
    chosen = [condition for condition in CONDITIONS if condition.name in names]
    if len(chosen) != len(names):
        parser.error(f"conditions are: {', '.join(condition.name for condition in CONDITIONS)}")
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        parser.error("needs two cores")
    runs = []
    if args.results is not None and args.results.exists():
        runs = [json.loads(line) for line in args.results.read_text().splitlines()]
    if args.again:
        if args.results is None or args.keep is None:
            parser.error("--again needs --results and --keep")
        runs = [judged_again(run, args.keep) for run in runs]
        args.results.write_text("".join(json.dumps(run) + "\n" for run in runs))
    else:
        for found in measured(chosen, args.repeats, (cores[0], cores[1]), args.keep):
            runs.append(found)
            if args.results is not None:
                with args.results.open("a") as file:
                    file.write(json.dumps(found) + "\n")
    print("\n".join([*verdict_table(runs), "", *number_table(runs)]))


if __name__ == "__main__":
    main()

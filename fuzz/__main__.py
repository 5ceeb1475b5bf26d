# SPDX-License-Identifier: Apache-2.0
"""Fuzz the wire, the dialects, the masking of secrets and the reading of recorder files.

    python -m fuzz                                          20,000 streams of a fresh seed, which is printed
    python -m fuzz --streams 10000000 --seed 1 --jobs 2 --state fuzz.json
    python -m fuzz --growth                                 work and memory on streams made to be expensive

The same seed makes the same streams. With --state a run that was stopped goes on where it was; what failed is written
to --failures, and belongs into fuzz/corpus once it is understood.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz import corpus, growth
from fuzz.batches import BATCH, Batch, run_batch
from fuzz.streams import KINDS

FAILURES = Path(__file__).parent / "failures"


def main() -> int:
    options = _options()
    if options.growth:
        return growth.main()
    state = _State.load(options.state, options.seed)
    print(f"seed {state.seed}, batches of {BATCH:,} streams, from batch {state.n_batches}", flush=True)
    n_batches = max(0, -(-options.streams // BATCH) - state.n_batches)
    begin = time.monotonic()
    n_failed = 0
    for totals, failures in _run(state.seed, state.n_batches, n_batches, options.jobs):
        state.add(totals)
        if options.state is not None:
            state.save(options.state)
        for stream, reason in failures:
            n_failed += 1
            path = corpus.save(options.failures, stream)
            print(f"FAILED {path}\n{reason}", flush=True)
    elapsed_s = time.monotonic() - begin
    print("\n".join(state.table()))
    rate = n_batches * BATCH / elapsed_s if elapsed_s else 0
    print(f"{state.n_streams:,} streams, {n_failed} failed; {elapsed_s:,.0f} s just now, {rate:,.0f} streams/s")
    return 1 if n_failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=20_000, help="in total, those of an earlier --state included")
    parser.add_argument("--seed", type=int, help="default: a fresh one")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--state", type=Path, help="file of totals: continued if it is there, written after each batch")
    parser.add_argument("--failures", type=Path, default=FAILURES, help="folder for streams that failed")
    parser.add_argument("--growth", action="store_true", help="measure work and memory instead")
    return parser.parse_args()


class _State:
    """What has been run. `totals`: (kind, outcome) -> streams."""

    def __init__(self, seed: int, n_batches: int, totals: Counter[tuple[str, str]]) -> None:
        self.seed = seed
        self.n_batches = n_batches
        self.totals = totals

    @staticmethod
    def load(path: Path | None, seed: int | None) -> _State:
        if path is None or not path.exists():
            return _State(int.from_bytes(os.urandom(4)) if seed is None else seed, 0, Counter())
        kept: dict[str, Any] = json.loads(path.read_text())
        if seed not in (None, kept["seed"]):
            sys.exit(f"{path} was begun with seed {kept['seed']}")
        totals = Counter({(kind, outcome): n for kind, outcome, n in kept["totals"]})
        return _State(kept["seed"], kept["n_batches"], totals)

    @property
    def n_streams(self) -> int:
        return sum(self.totals.values())

    def add(self, totals: Counter[tuple[str, str]]) -> None:
        self.n_batches += 1
        self.totals += totals

    def save(self, path: Path) -> None:
        totals = [[kind, outcome, n] for (kind, outcome), n in sorted(self.totals.items())]
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps({"seed": self.seed, "n_batches": self.n_batches, "totals": totals}))
        partial.replace(path)

    def table(self) -> Iterator[str]:
        yield f"{'kind':<10}{'streams':>12}  outcomes"
        for kind in KINDS:
            outcomes = {outcome: n for (name, outcome), n in sorted(self.totals.items()) if name == kind}
            said = ", ".join(f"{n:,} {outcome}" for outcome, n in outcomes.items())
            yield f"{kind:<10}{sum(outcomes.values()):>12,}  {said}"


def _run(seed: int, first: int, n_batches: int, n_jobs: int) -> Iterator[Batch]:
    """Batches in their order, whoever ran them."""
    tasks = [(seed, number) for number in range(first, first + n_batches)]
    if n_jobs == 1:
        yield from map(run_batch, tasks)
        return
    with multiprocessing.Pool(n_jobs) as pool:
        yield from pool.imap(run_batch, tasks)


if __name__ == "__main__":
    sys.exit(main())

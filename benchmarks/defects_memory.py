# SPDX-License-Identifier: Apache-2.0
"""Does `explain memory` find a cache that is too small and memory that leaks, and leave healthy engines alone?

    python benchmarks/defects_memory.py [--seeds 20] [--jobs 3]

Emulated engines on loopback, each case with sizes of its own, drawn from the seed. What is asked is the examination
itself, without the rounds that say what batching gains.
Truth: the defect that was planted, by the name that only the emulator knows, and the code of the finding that is right.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from inferometer.cli.live import Silent
from inferometer.config import resolve
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.probes.bench import bench
from inferometer.probes.explain.memory import MemoryWish, examine

RIGHT = {"small-cache": "cache_too_small", "leaks-memory": "memory_grows"}
COUNTS_PREEMPTIONS = ("vllm",)  # of those emulated; others tell use and queue, if their page is read often enough
HEALTHY = (
    ("vllm", {}),
    ("vllm", {"slots": 32}),
    ("vllm", {"kv_tokens": 16 * 640}),  # full, and just enough
    ("vllm", {"context": 8192}),
    ("llama.cpp", {"slots": 4}),
    ("llama.cpp", {"slots": 16}),
    ("sglang", {}),
    ("lmdeploy", {}),
    ("tensorrt-llm", {}),
    ("tgi", {}),
)
MOST_REQUESTS = 16
LENGTHS = "uniform:192-320"  # as on a machine that is not busy: shorter ones would not fill the cache


@dataclass(frozen=True)
class Case:
    engine: str
    defect: str
    seed: int
    changes: tuple[tuple[str, int], ...] = ()


def law_of(seed: int) -> ServiceLaw:
    """No two engines are as fast."""
    rng = random.Random(f"law/{seed}")
    return ServiceLaw(a=rng.uniform(2, 5), b=rng.uniform(0.005, 0.02), c=rng.uniform(0.02, 0.1), d=0.0, noise=0.05)


def found_in(case: Case) -> tuple[Case, list[str], str]:
    """Codes of the findings, and the figures that they rest on."""
    fields = {"context": 2048, "slots": MOST_REQUESTS} | dict(case.changes)
    defects = [case.defect] if case.defect else []
    setting = make_setting(case.engine, law=law_of(case.seed), seed=case.seed, defects=defects, **fields)
    with tempfile.TemporaryDirectory(prefix="inferometer-defects-") as folder, EmulatedEngine(setting) as server:
        config = resolve(
            {
                "url": f"http://127.0.0.1:{server.port}",
                "out": str(Path(folder) / "bench"),
                "input_tokens": LENGTHS,
                "output_tokens": LENGTHS,
            }
        )
        with bench(config, Silent(), what="memory", greatest=config, budget_s=30.0) as at:
            found = examine(at, MemoryWish(concurrency=MOST_REQUESTS, budget_s=30.0, n_rounds=0))
    load, taken = found.load, found.taken
    figures = (
        f"{load.preemptions.value} put back, cache {load.kv_used.value}, {taken.growth.value} "
        f"[{taken.growth.lo}, {taken.growth.hi}] B/request, failed {load.failed.value}"
    )
    return case, [finding.code for finding in found.row.findings], figures


def cases_of(n_seeds: int) -> list[Case]:
    engines = {"small-cache": COUNTS_PREEMPTIONS, "leaks-memory": ("vllm", "llama.cpp", "sglang", "tgi")}
    planted = [
        Case(engines[defect][seed % len(engines[defect])], defect, seed) for defect in RIGHT for seed in range(n_seeds)
    ]
    return planted + [Case(name, "", 100 + i, tuple(changes.items())) for i, (name, changes) in enumerate(HEALTHY)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--only", default="", help="a defect, or `healthy`")
    told = parser.parse_args()
    cases = [case for case in cases_of(told.seeds) if not told.only or (case.defect or "healthy") == told.only]
    right: dict[str, list[bool]] = {}
    with ProcessPoolExecutor(told.jobs, mp_context=get_context("spawn")) as pool:
        for case, codes, figures in pool.map(found_in, cases):
            wanted = [RIGHT[case.defect]] if case.defect else []
            is_right = codes == wanted
            right.setdefault(case.defect or "healthy", []).append(is_right)
            if not is_right or not case.defect:
                changes = " ".join(f"{name}={value}" for name, value in case.changes)
                print(
                    f"{case.defect or 'healthy'} {case.engine} {changes} seed {case.seed}: {codes}; {figures}",
                    flush=True,
                )
    for name, results in right.items():
        print(f"{name:14} {sum(results)} of {len(results)}")
    return 0 if all(all(results) for results in right.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

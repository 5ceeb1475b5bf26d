# SPDX-License-Identifier: Apache-2.0
"""The rows of `explain` that a load shows, latency and scale, over ten healthy engines and what was planted in others.

    python benchmarks/explain.py [--seeds 20] [--jobs 2]

In virtual time (virtual.py, virtual_bench.py): the examinations, their analysis and findings are those of the command,
the engine is the emulator's own batch. Of the planted defects `pauses` and `last-come-first` are in no list that
detections were made from. Rows about answers need a server that answers: defects_limits.py, defects_accuracy.py,
defects_memory.py ask real processes.
"""

from __future__ import annotations

import argparse
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import virtual
from defects_scale import BUDGET_S, HEALTHY
from virtual_bench import VirtualBench

from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.emulation import Setting
from inferometer.emulate.law import ServiceLaw
from inferometer.probes.bench import Bench
from inferometer.probes.explain.scale import examine

# planted -> what some row must find of it
EXPECTED = {
    "pauses": ("latency", "periodic_stalls"),
    "last-come-first": ("scale", "unfair_queue"),
    "prefill-alone": ("latency", "prefill_stalls"),
    "few-threads": ("latency", "unheard"),
    "throttles": ("latency", "throttled"),
}


@dataclass(frozen=True)
class Found:
    """`codes`: (row, code) of findings that are bad or wrong."""

    codes: tuple[tuple[str, str], ...]
    detail: str


def find(name: str, seed: int) -> Found:
    rng = random.Random(f"whole/{name}/{seed}")
    wish: dict[str, Any] = {"slots": rng.choice((8, 16)), "a": rng.uniform(3, 8), "b": rng.uniform(0.04, 0.07)}
    wish |= {"c": rng.uniform(0.1, 0.3), "d": 1e-4, "noise": 0.05} | HEALTHY.get(name, {})
    law = ServiceLaw(**{term: wish[term] for term in ("a", "b", "c", "d", "noise")})
    defects = [] if name in HEALTHY else [name]
    setting = make_setting("vllm", slots=int(wish["slots"]), context=16_384, law=law, seed=seed, defects=defects)
    rows = [_latency(setting, wish, name), _scale(setting, wish)]
    findings = [finding for row in rows for finding in row.findings]
    bad = tuple((finding.challenge, finding.code) for finding in findings if finding.level != "fair")
    return Found(bad, "; ".join(f"{finding.challenge} {finding.code}: {finding.claim}" for finding in findings))


def _latency(setting: Setting, wish: dict[str, Any], name: str) -> Any:
    tells = "queue and prefill" if wish.get("tells", True) else "nothing"
    long_s = 60.0 if name == "throttles" else 15.0
    longest = min(8_000, round(800 / setting.law.b))
    concurrency = min(setting.slots, 16)  # as the command chooses it
    return virtual.examine(virtual.Engine(setting, tells=tells), concurrency, longest=longest, long_s=long_s).row


def _scale(setting: Setting, wish: dict[str, Any]) -> Any:
    bench = VirtualBench(setting, wish.get("has_prefix_cache", True), wish.get("tells", True))
    return examine(cast(Bench, bench), BUDGET_S).row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--healthy-seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    told = parser.parse_args()
    print("| planted | found as, of | other findings that are bad |\n|---|---|---|")
    with ProcessPoolExecutor(told.jobs) as pool:
        for name in [*EXPECTED, *HEALTHY]:
            if told.only and name not in told.only.split(","):
                continue
            n_seeds = told.healthy_seeds if name in HEALTHY else told.seeds
            found = list(pool.map(find, [name] * n_seeds, range(n_seeds)))
            wanted = EXPECTED.get(name)
            hits = sum(wanted in one.codes for one in found)
            others = sum(bool(set(one.codes) - {wanted}) for one in found)
            shown = f"{' '.join(wanted)}: {hits} of {n_seeds}" if wanted is not None else "-"
            what = f"nothing: {name}" if wanted is None else f"`{name}`"
            print(f"| {what} | {shown} | {others} of {n_seeds} |", flush=True)
            for seed, one in enumerate(found):
                if set(one.codes) != ({wanted} if wanted is not None else set()):
                    print(f"  seed {seed}: {one.detail}", flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Does `explain scale` find what is planted, name the right cause, and leave ten healthy configurations alone?

    python benchmarks/defects_scale.py [--seeds 20] [--jobs 2]

Engines are emulated and driven in virtual time (virtual_bench.py). Two of the defects are in no list that detections
were made from: an engine that stands still now and then, and a queue that serves the last come first.
"""

from __future__ import annotations

import argparse
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

from virtual_bench import VirtualBench

from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.law import ServiceLaw
from inferometer.probes.bench import Bench
from inferometer.probes.explain.scale import examine

BUDGET_S = 120.0
# Ten ways in which an engine may well be set up: law, slots, room for the cache, prefix cache, what it tells.
HEALTHY: dict[str, dict[str, Any]] = {
    "16 slots": {"slots": 16},
    "4 slots": {"slots": 4},
    "64 slots": {"slots": 64},
    "noisy": {"slots": 16, "noise": 0.2},
    "dear prompts": {"slots": 16, "b": 0.08},
    "dear sequences": {"slots": 16, "c": 1.0},
    "dear contexts": {"slots": 16, "d": 0.002},
    "slow": {"slots": 8, "a": 25.0},
    "without prefix cache": {"slots": 16, "has_prefix_cache": False},
    "without gauges": {"slots": 16, "tells": False},
}
# planted -> what must be found of it, here; "": this row is not where it shows
EXPECTED = {
    "last-come-first": "unfair_queue",
    "small-cache": "",
    "few-threads": "",
    "prefill-alone": "",
    "pauses": "",
}


@dataclass(frozen=True)
class Found:
    codes: tuple[str, ...]  # of what is wrong or bad; what is worth knowing does no harm
    detail: str


def find(name: str, seed: int) -> Found:
    rng = random.Random(f"{name}/{seed}")
    wish = {"slots": rng.choice((8, 16)), "a": rng.uniform(5, 10), "b": 0.02, "c": rng.uniform(0.1, 0.4), "d": 1e-4}
    wish |= {"noise": 0.05} | HEALTHY.get(name, {})
    law = ServiceLaw(**{term: wish[term] for term in ("a", "b", "c", "d", "noise")})
    defects = [] if name in HEALTHY else [name]
    setting = make_setting("vllm", slots=int(wish["slots"]), context=2_048, law=law, seed=seed, defects=defects)
    bench = VirtualBench(setting, wish.get("has_prefix_cache", True), wish.get("tells", True))
    found = examine(cast(Bench, bench), BUDGET_S).row
    bad = tuple(finding.code for finding in found.findings if finding.level != "fair")
    detail = "; ".join(f"{finding.code}: {finding.claim}" for finding in found.findings)
    return Found(bad, f"{found.headline} | {detail} | {'; '.join(found.not_measured)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--healthy-seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true")
    told = parser.parse_args()
    print("| planted | found, of | other findings that are bad |\n|---|---|---|")
    with ProcessPoolExecutor(told.jobs) as pool:
        for name, code in {**EXPECTED, **dict.fromkeys(HEALTHY, "")}.items():
            if told.only and name not in told.only.split(","):
                continue
            n_seeds = told.healthy_seeds if name in HEALTHY else told.seeds
            found = list(pool.map(find, [name] * n_seeds, range(n_seeds)))
            hits = sum(code in one.codes for one in found)
            others = sum(bool(set(one.codes) - {code}) for one in found)
            shown = f"{hits} of {n_seeds}" if code else "-"
            what = f"`{name}`" if name in EXPECTED else f"nothing: {name}"
            print(f"| {what} | {shown} | {others} of {n_seeds} |", flush=True)
            for seed, one in enumerate(found):
                if told.verbose or set(one.codes) != ({code} if code else set()):
                    print(f"  seed {seed}: {one.detail}", flush=True)


if __name__ == "__main__":
    main()

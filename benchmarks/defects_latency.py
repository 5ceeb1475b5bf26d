# SPDX-License-Identifier: Apache-2.0
"""Does `explain latency` find each planted defect, name the right cause, and leave healthy engines alone?

    python benchmarks/defects_latency.py [--seeds 20] [--jobs 2]

Engines are emulated and driven in virtual time (virtual.py); law, slots, and what the engine tells of itself are drawn
from the seed, and so is the size of a defect. Analysis and findings are those of the command, whole. The law that was
planted is also the truth for the law that is fitted.
"""

from __future__ import annotations

import argparse
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from virtual import Engine, examine

from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.law import ServiceLaw

EXPECTED = {"": "", "prefill-alone": "prefill_stalls", "few-threads": "unheard", "throttles": "throttled"}
TELLS = ("queue and prefill", "prefill", "nothing")
LONGEST_S, MOST_TOKENS = 0.8, 8_000  # what a long prompt takes alone, at most; and its length


@dataclass(frozen=True)
class Found:
    """`errors`: of the law's terms, where they were told; `held_out`: median error of TPOT on loads left out."""

    seed: int
    codes: tuple[str, ...]
    resource: str
    errors: dict[str, float]
    held_out: float
    detail: str


def find(defect: str, seed: int) -> Found:
    rng = random.Random(f"{defect}/{seed}")
    law = ServiceLaw(
        a=rng.uniform(2, 8),
        b=rng.uniform(0.04, 0.075),
        c=rng.uniform(0, 0.3),
        d=rng.uniform(0, 3e-4),
        noise=rng.choice((0, 0.05, 0.1)),
    )
    slots = rng.choice((8, 12, 16))
    setting = make_setting("vllm", slots=slots, context=16_384, law=law, seed=seed, defects=[defect] if defect else [])
    longest = min(MOST_TOKENS, round(1_000 * LONGEST_S / law.b))
    # Throttling begins after a minute, as it comes: the load lasts beyond.
    long_s = 60.0 if defect == "throttles" else 15.0  # it begins after a minute, as it comes
    found = examine(
        Engine(setting, tells=rng.choice(TELLS)), slots, longest=longest, long_s=long_s, short_s=2.0, n_turns=4
    )
    told = found.model
    errors = (
        {}
        if told is None
        else {
            name: figure.value / truth - 1
            for name, figure, truth in ((n, getattr(told, n), getattr(law, n) / 1e3) for n in "abcd")
            if figure.value is not None and truth > 0
        }
    )
    held_out = told.held_out.value if told is not None and told.held_out.value is not None else float("nan")
    detail = "; ".join(f"{one.code}: {one.claim}" for one in found.row.findings)
    return Found(seed, tuple(one.code for one in found.row.findings), found.resource, errors, held_out, detail)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    told = parser.parse_args()
    print("| planted | found, of | nothing else | resource named | error of a | of b | tpot on loads left out |")
    print("|---|---|---|---|---|---|---|")
    with ProcessPoolExecutor(told.jobs) as pool:
        for defect, code in EXPECTED.items():
            found = list(pool.map(find, [defect] * told.seeds, range(told.seeds)))
            hits = sum(code in one.codes if code else not one.codes for one in found)
            alone = sum(one.codes == ((code,) if code else ()) for one in found)
            resources = sorted({one.resource for one in found})
            errors = {n: np.median([abs(one.errors[n]) for one in found if n in one.errors]) for n in "ab"}
            held = np.median([one.held_out for one in found])
            worst = np.nanmax([one.held_out for one in found])
            print(
                f"| {defect or 'nothing'} | {hits} of {len(found)} | {alone} | {', '.join(resources)} "
                f"| {errors['a']:.1%} | {errors['b']:.1%} | {held:.1%}, worst {worst:.1%} |",
                flush=True,
            )
            for one in found:
                if told.verbose or (set(one.codes) != ({code} if code else set())):
                    print(f"  seed {one.seed}: {one.resource}; {one.detail or 'nothing found'}")


if __name__ == "__main__":
    main()

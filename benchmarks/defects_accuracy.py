# SPDX-License-Identifier: Apache-2.0
"""Does `explain accuracy` find planted defects, and leave healthy engines alone? `--seeds 20`; a table on stdout.

Each case is an emulated engine on loopback with a mind that answers the built-in questions right, examined as by the
command, with fewer questions. The engine, its slots and its service law change with the seed, and so does the size of
the defect.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from inferometer.analysis.accuracy import AccuracyExamination
from inferometer.cli.live import Silent
from inferometer.config import resolve
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.probes.bench import bench
from inferometer.probes.explain.accuracy import Wish, examine
from inferometer.stats import clopper_pearson
from inferometer.tasks import Task

# What is planted -> the finding that names it; any other of level "wrong" or "bad" is a false one.
PLANTED = {"differs-under-load": "answers_change_under_load", "invents-answers": "invents_answers"}
ENGINES = ("vllm", "llama.cpp", "sglang", "lmdeploy", "tgi")
HEALTHY = "healthy"
PATIENT = {"timeout": "600s", "stall_timeout": "600s"}  # a busy machine is no defect of the engine
TASKS = (Task.RETRIEVAL, Task.GROUNDED, Task.UNKNOWN)


def examined(seed: int, defects: Sequence[str], n_items: int) -> AccuracyExamination:
    engine = ENGINES[seed % len(ENGINES)]
    law = ServiceLaw(a=3.0 + seed % 3, b=0.005 * (1 + seed % 4), c=0.01, d=0.0)  # slow enough for a load to be one
    setting = make_setting(engine, slots=(4, 8, 16)[seed % 3], law=law, seed=seed, mind="reader", defects=defects)
    with tempfile.TemporaryDirectory() as folder, EmulatedEngine(setting) as server:
        config = resolve({"url": server.url, "out": str(Path(folder) / "case"), "scrape_every": "off", **PATIENT})
        with bench(config, Silent(), what="accuracy", greatest=config, budget_s=3600.0) as at:
            return examine(at, Wish(TASKS, n_items, n_free=6, n_sampled=6, seed=seed, budget_s=3600.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--healthy", type=int, default=10)
    parser.add_argument("--items", type=int, default=40, help="questions of each of three tasks")
    parser.add_argument("--only", choices=(*PLANTED, HEALTHY), help="one row of the table")
    told = parser.parse_args()
    print("| planted | cases | found and named | 95 % | other findings |\n|---|---|---|---|---|")
    is_short = False
    for planted, code in [*PLANTED.items(), (HEALTHY, "")]:
        if told.only not in (None, planted):
            continue
        n = told.healthy if planted == HEALTHY else told.seeds
        n_found, others = 0, Counter[str]()
        for seed in range(n):
            found = examined(seed, [] if planted == HEALTHY else [planted], told.items)
            codes = [finding.code for finding in found.row.findings if finding.level != "fair"]
            n_found += (code in codes) if code else not codes
            others.update(each for each in codes if each != code)
            print(f"{planted} {seed} {found.engine.get('title')}: {codes}", file=sys.stderr, flush=True)
        share = clopper_pearson(n_found, n)
        told_others = ", ".join(f"{name} {count}" for name, count in others.items()) or "none"
        name = f"{HEALTHY} (left alone)" if planted == HEALTHY else f"`{planted}`"
        print(f"| {name} | {n} | {n_found} | [{share.lo:.2f}, {share.hi:.2f}] | {told_others} |", flush=True)
        is_short |= n_found < (n if planted == HEALTHY else -(-19 * n // 20))
    sys.exit(is_short)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Does `explain limits` find what is planted, name it rightly, and leave healthy servers alone?

    python benchmarks/defects_limits.py [--seeds 20] [--healthy-seeds 2] [--jobs 2] [--cases vllm/drops-middle,...]

Engines are emulated, on loopback, with a mind that answers our own tasks; each seed draws another size of the defect
and other questions. The examination is that of `inferometer explain limits` with fewer questions and no times.
Right is: the finding and no other, and the limit to the token. Prints the tables of docs/evidence/explain-limits.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from inferometer.analysis.token_limits import LimitsExamination
from inferometer.config import resolve
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.defects import change_wish
from inferometer.emulate.emulation import Setting, Wish
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.errors import InferometerError
from inferometer.probes.bench import bench
from inferometer.probes.explain import limits

LAW = ServiceLaw(a=0.1, b=0.0002, c=0.001, d=0.0)
# A defect is found without questions whose answers are judged; on healthy engines they could mislead.
FEW = limits.Amounts(rounds=0, pairs=3, cut=0, speed=0)
JUDGED = limits.Amounts(rounds=1, pairs=3, cut=0, speed=0)
ENOUGH_S = 3_600.0  # nothing is left out for want of time
FOUND = {
    "drops-middle": "middle_lost",
    "caps-context": "prompt_cut_silently",
    "shortens-answers": "answers_cut_silently",
}


class Case(NamedTuple):
    engine: str
    defect: str = ""
    context: int = 1_024
    mind: str = "reader"

    @property
    def name(self) -> str:
        return f"{self.engine}/{self.defect}" if self.defect else f"{self.engine}/{self.context}/{self.mind}"


PLANTED = tuple(Case(engine, defect) for engine, defect in zip(("vllm", "sglang", "llama.cpp"), FOUND, strict=True))
HEALTHY = (
    Case("vllm", context=512),
    Case("vllm", context=2_048),
    Case("vllm", mind="words"),
    Case("llama.cpp", context=768),
    Case("llama.cpp", mind="words"),
    Case("sglang"),
    Case("lmdeploy"),
    Case("tgi"),
    Case("tensorrt-llm"),
    Case("llama-cpp-python"),
)


class Silent:
    """An observer that says nothing."""

    wants_latencies = False

    def on_start(self, *_: object) -> None:
        pass

    def on_progress(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class Seen(NamedTuple):
    """What one examination came to. `longest` is None where no prompt was taken, `true` the limit that it has."""

    case: Case
    seed: int
    codes: tuple[str, ...]
    longest: int | None
    true: int
    n_search: int
    error: str = ""

    @property
    def is_right(self) -> bool:
        expected = (FOUND[self.case.defect],) if self.case.defect else ()
        return not self.error and self.codes == expected and self.longest == self.true


def examined(case: Case, seed: int) -> Seen:
    setting = make_setting(
        case.engine,
        slots=4,
        context=case.context,
        law=LAW,
        seed=seed,
        mind=case.mind,
        defects=[case.defect] if case.defect else (),
    )
    true = true_limit(setting)
    try:
        found = _examine(setting, seed)
    except InferometerError as error:
        return Seen(case, seed, (), None, true, 0, str(error))
    codes = tuple(finding.code for finding in found.row.findings)
    return Seen(case, seed, codes, found.window.longest, true, found.window.n_requests)


def _examine(setting: Setting, seed: int) -> LimitsExamination:
    with EmulatedEngine(setting) as server, tempfile.TemporaryDirectory(prefix="inferometer-defects-") as folder:
        config = resolve({"url": server.url, "out": str(Path(folder) / "bench")})
        with bench(config, Silent(), what="limits", greatest=config, budget_s=ENOUGH_S) as at:
            return limits.examine(at, ENOUGH_S, seed=seed, most=FEW if setting.defects else JUDGED)


def true_limit(setting: Setting) -> int:
    """Of a prompt: one token less than the context, as all these engines need one for the answer, or what the defect
    leaves of it."""
    most = setting.context - 1
    wish = Wish(n_prompt_tokens=most, words=(), n_most=1, is_streamed=False, parts=lambda _: [])
    return change_wish(wish, setting).n_prompt_tokens


def table(seen: Sequence[Seen]) -> list[str]:
    rows = ["| engine and defect | seeds | found, and nothing else | limit to the token | requests of the search |"]
    rows.append("|---|---|---|---|---|")
    for case in [case for case in (*PLANTED, *HEALTHY) if any(one.case == case for one in seen)]:
        mine = [one for one in seen if one.case == case]
        n_right, n_exact = sum(one.is_right for one in mine), sum(one.longest == one.true for one in mine)
        most = max(one.n_search for one in mine)
        rows.append(f"| `{case.name}` | {len(mine)} | {n_right} | {n_exact} | at most {most} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--healthy-seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cases", default="")
    options = parser.parse_args()
    wanted = [name for name in options.cases.split(",") if name]
    jobs = [
        (case, seed)
        for seed in range(max(options.seeds, options.healthy_seeds))
        for case in (*PLANTED, *HEALTHY)
        if seed < (options.seeds if case.defect else options.healthy_seeds) and (not wanted or case.name in wanted)
    ]
    seen = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for done in as_completed([pool.submit(examined, *job) for job in jobs]):
            seen.append(one := done.result())
            told = "right" if one.is_right else f"not right: {one}"
            print(f"{one.case.name} seed {one.seed}: {told}", file=sys.stderr, flush=True)
    print("\n".join(table([one for one in seen if one.case.defect])))
    print()
    print("\n".join(table([one for one in seen if not one.case.defect])))


if __name__ == "__main__":
    main()

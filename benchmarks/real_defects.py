# SPDX-License-Identifier: Apache-2.0
"""Does `explain` find a fault on a real engine, and leave the same engine alone without it?

    python benchmarks/real_defects.py [--seeds 1] [--only NAME,...] [--out DIR]      # twenty minutes a seed

The engine is llama.cpp with the trained model, or vLLM on CPU where it is installed. Faults are in how it is started,
or in a gateway before it (gateway.py), whose size the seed draws. Each case is one `inferometer explain` in a process
of its own, which knows neither. Right is the finding of the fault, and none of the other faults' findings; a healthy
engine has none of them. Whatever else is true of the engine (prompts are computed whole, answers fall off beyond the
lengths that it was trained for) is told as well, and stands in the last column.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from inferometer.embedded import models
from inferometer.embedded.server import command

HERE = Path(__file__).parent
N_SLOTS, CONTEXT_TOKENS = 8, 2_048
VLLM = ("--engine", "vllm", "--model", "trained")
LLAMA = ("--engine", "llamacpp", "--model", "trained")


class Case(NamedTuple):
    """`code`: of the finding that tells the fault, "": healthy. `words` of the engine, else `gateway`: its fault."""

    name: str
    challenge: str
    code: str
    budget: str
    words: tuple[str, ...] = ()
    gateway: str | None = None
    after: tuple[str, ...] = ()


PLANTED = (
    Case("drops-middle", "limits", "prompt_cut_silently", "60s", gateway="drops-middle"),
    Case("caps-context", "limits", "prompt_cut_silently", "60s", gateway="caps-context"),
    Case("shortens-answers", "limits", "answers_cut_silently", "60s", gateway="shortens-answers"),
    Case("differs-under-load", "accuracy", "answers_change_under_load", "80s", gateway="differs-under-load"),
    Case("few-threads", "latency", "unheard", "80s", gateway="few-threads"),
    Case("throttles", "latency", "throttled", "150s", gateway="throttles"),
    Case("leaks", "memory", "memory_grows", "150s", gateway="leaks"),
    Case("two slots", "scale", "slots", "80s", (*LLAMA, "--set", "max_concurrency=2")),
    Case("prompts whole", "latency", "prefill_stalls", "80s", LLAMA),
    Case("cache of 6 blocks", "memory", "cache_too_small", "60s", (*VLLM, "--set", "context=512"),
         after=("--num-gpu-blocks-override", "6")),
)  # fmt: skip
HEALTHY = (
    *(Case(f"healthy {what}", what, "", "60s", gateway="") for what in ("limits", "accuracy", "latency", "memory")),
    Case("healthy vLLM memory", "memory", "", "60s", VLLM),
    Case("healthy vLLM limits", "limits", "", "60s", VLLM),
)
# What is true of these engines as they come, and is rightly told beside anything.
OF_THE_ENGINE = {"prefill_stalls", "slots"}
FAULTS = {case.code for case in PLANTED} - OF_THE_ENGINE


def found(case: Case, seed: int, folder: Path) -> list[tuple[str, str]]:
    """Level and code of every finding. Raises: RuntimeError if there was no examination."""
    words = ["explain", case.challenge, *case.words, "--budget", case.budget, "--out", str(folder), "--format", "json"]
    after = list(case.after)
    if case.gateway is not None:
        size = random.Random(f"{case.name}/{seed}").random()
        engine = command(models.choose("trained").ensure(), n_slots=N_SLOTS, context_tokens=CONTEXT_TOKENS)
        told = ["--port", "{port}", "--size", f"{size:.3f}", *(["--defect", case.gateway] if case.gateway else [])]
        after = [sys.executable, str(HERE / "gateway.py"), *told, "--"]
        after += [word.replace("{port}", "{behind}") for word in engine]  # {port} is the gateway's
    words += ["--", *after] if after else []
    done = subprocess.run([sys.executable, "-m", "inferometer", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-400:]}")
    return [(one["level"], one["code"]) for one in json.loads(done.stdout)["row"]["findings"]]


def line(case: Case, seeds: Sequence[int], folder: Path) -> str:
    n_right, others, failed = 0, [], []
    for seed in seeds:
        try:
            told = found(case, seed, folder / f"{case.name.replace(' ', '-').replace(',', '')}-{seed}")
        except RuntimeError as error:
            failed.append(str(error))
            continue
        codes = {code for _, code in told}
        is_there = case.code in codes if case.code else True
        n_right += is_there and not (codes & FAULTS) - {case.code}
        others += [f"{level}: `{code}`" for level, code in told if code != case.code]
    beside = ", ".join(dict.fromkeys([*others, *failed])) or "-"
    kind = f"`{case.code}`" if case.code else "none of these"
    where = (
        "gateway" if case.gateway is not None else " ".join([*case.words, *(("--", *case.after) if case.after else ())])
    )
    return f"| {case.name} | {where} | {case.challenge}: {kind} | {n_right} of {len(seeds)} | {beside} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    told = parser.parse_args()
    only = {name for name in told.only.split(",") if name}
    folder = told.out or Path(tempfile.mkdtemp(prefix="real-defects-"))
    print("| planted | where | right is | found | told beside |")
    print("|---|---|---|---|---|")
    for case in (*PLANTED, *HEALTHY):
        if not only or case.name in only:
            print(line(case, range(told.seeds), folder), flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The same timing behind every dialect: does inferometer measure the same TTFT, TPOT and gaps, whatever is spoken?

    python benchmarks/dialects.py [--requests 20] [--output-tokens 32] [--engines vllm,tgi]

Every emulated engine is started with one service law, without noise and without traps, and measured in each of its APIs
by `inferometer run URL`, one request at a time. Then each as it comes, traps and all, against its own log. Medians can
only agree if the engines kept their own timing: where one was late by more than a millisecond, the machine was busy,
and the verdict is that nothing can be told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from clients import two_cores, watch

from inferometer.emulate.catalogue import EMULATIONS, emulation_of, make_setting
from inferometer.emulate.emulation import Emulation
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.kinds import Outcome, Phase
from inferometer.metrics import METRICS
from inferometer.records import Array, Trace
from inferometer.run_folder import Run
from inferometer.truth.log import Errors, compare, lateness
from inferometer.units import NS_PER_S

LAW = ServiceLaw(a=10.0, b=0.1, c=1.0, d=0.001)
N_PROMPT_TOKENS = 64
BUDGET_MS = 1.0
APIS = {
    "vllm": ("chat", "completions", "native"),
    "llama.cpp": ("chat", "completions", "native"),
    "tgi": ("chat", "completions", "native"),
    "lmdeploy": ("chat", "completions", "native"),
    "tensorrt-llm": ("chat", "completions"),
    "triton": ("native",),
    "sglang": ("chat", "completions", "native"),
    "ollama": ("chat", "completions", "native", "native-chat"),
    "llama-cpp-python": ("chat", "completions"),
}
# What an engine must be without to be spoken to in its own API at all.
ALWAYS_WITHOUT = {"vllm": ("no-scale-out",)}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: the tool's medians, ms, and its errors against the log. `outcome`: "" if all requests are ok.

    `late_ms`: how late the engine sent what was due, p99.
    """

    ttft_ms: float
    tpot_ms: float
    gap_ms: float
    late_ms: float
    errors: Errors
    outcome: str


def measure(emulation: Emulation, api: str, load: list[str], cores: tuple[int, int], *, has_traps: bool) -> Measured:
    server_core, client_core = cores
    left_out = ALWAYS_WITHOUT.get(emulation.name, ()) if has_traps else [trap.name for trap in emulation.traps]
    setting = make_setting(emulation.name, law=LAW, without_traps=left_out)
    with EmulatedEngine(setting, cpu=server_core) as engine, tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        argv = [sys.executable, "-m", "inferometer", "run", engine.url, "--api", api, *load, "--quiet", "--out", out]
        ended = watch([*argv, "--model", setting.model], client_core)
        if not (Path(out) / "manifest.json").exists():
            sys.exit(f"{emulation.name} {api}: no run ({ended.output.strip()})")
        run = Run.open(out)
        trace, log = run.trace(), engine.stop().of_run(run.manifest()["nonce"])
    outcomes = {Outcome(int(one)).name.lower() for one in main_rows(trace)["outcome"]}
    return Measured(
        median_ms(trace, "ttft_sent_s"),
        median_ms(trace, "tpot_s"),
        float(np.median(gaps_ms(trace))),
        1e3 * lateness(log).lateness.p99_s,
        compare(trace, log),
        "" if outcomes == {"ok"} else ", ".join(sorted(outcomes)),
    )


def main_rows(trace: Trace) -> Array:
    return trace.requests[trace.requests["phase"] == Phase.MAIN]


def median_ms(trace: Trace, name: str) -> float:
    """Of a metric per request, over the measured requests."""
    values = METRICS[name].fn(trace)[trace.requests["phase"] == Phase.MAIN]
    return float(np.nanmedian(values)) * 1e3


def gaps_ms(trace: Trace) -> Array:
    """Between neighbouring chunks with tokens of one answer."""
    found = []
    for request in main_rows(trace):
        chunks = trace.chunks[request["chunk_start"] : request["chunk_start"] + request["n_chunks"]]
        bearing = chunks[np.isin(chunks["kind"], (1, 2, 3))]
        found.append(np.diff(bearing["t_recv_ns"]))
    return np.concatenate(found) / NS_PER_S * 1e3


def print_rows(
    title: str, emulations: Sequence[Emulation], load: list[str], cores: tuple[int, int], *, has_traps: bool
) -> list[Measured]:
    """A row for every API of every engine, as they come."""
    print(f"\n{title}")
    print(f"  {'engine':18}{'api':13}{'ttft ms':>9}{'tpot ms':>9}{'gap ms':>9}", end="")
    print(f"{'ttft err us':>14}{'gap err us':>14}{'lost':>6}{'extra':>7}{'late ms':>9}  outcome")
    rows = []
    for emulation in emulations:
        for api in APIS[emulation.name]:
            row = measure(emulation, api, load, cores, has_traps=has_traps)
            rows.append(row)
            errors = row.errors
            print(f"  {emulation.name:18}{api:13}{row.ttft_ms:9.3f}{row.tpot_ms:9.3f}{row.gap_ms:9.3f}", end="")
            print(f"{1e6 * errors.ttft.p50_s:7.0f} {1e6 * errors.ttft.p99_s:6.0f}", end="")
            print(f"{1e6 * errors.gap.p50_s:7.0f} {1e6 * errors.gap.p99_s:6.0f}", end="")
            print(f"{errors.n_lost:6}{errors.n_extra:7}{row.late_ms:9.3f}  {row.outcome or 'ok'}", flush=True)
    return rows


def faults(rows: list[Measured]) -> list[str]:
    """What is wrong whatever the machine did: stamps, events, outcomes."""
    worst_ms = 1e3 * max(max(row.errors.ttft.p50_s, row.errors.gap.p50_s) for row in rows)
    print(f"  largest median error against the engines' own logs: {worst_ms:.3f} ms")
    found = [] if worst_ms < BUDGET_MS else ["stamps are off"]
    if any(row.outcome or row.errors.n_lost or row.errors.n_extra for row in rows):
        found.append("requests failed, or events were lost or made up")
    return found


def widest_ms(rows: list[Measured]) -> float:
    """How far medians of the same timing are apart."""
    spans = []
    for name in ("ttft_ms", "tpot_ms", "gap_ms"):
        values = [getattr(row, name) for row in rows]
        spans.append(max(values) - min(values))
        print(f"  {name.partition('_')[0]}: from {min(values):.3f} to {max(values):.3f} ms over {len(rows)} dialects")
    return max(spans)


def law_ms(n_output_tokens: int) -> tuple[float, float]:
    """What the law says of one request alone: TTFT, and the mean of the gaps after it."""
    n_context = [N_PROMPT_TOKENS + k for k in range(1, n_output_tokens)]
    gaps = [LAW.a + LAW.c + LAW.d * n for n in n_context]
    return LAW.a + LAW.b * N_PROMPT_TOKENS, sum(gaps) / len(gaps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--output-tokens", type=int, default=32)
    parser.add_argument("--engines", help="only these, separated by commas")
    parser.add_argument("--same-only", action="store_true", help="leave out the second table")
    told = parser.parse_args()
    chosen = told.engines.split(",") if told.engines else [emulation.name for emulation in EMULATIONS]
    emulations = [emulation_of(name) for name in chosen]
    load = ["--concurrency=1", f"--requests={told.requests}", "--warmup=2", f"--input-tokens={N_PROMPT_TOKENS}"]
    load += [f"--output-tokens={told.output_tokens}"]
    cores = two_cores()
    ttft_ms, tpot_ms = law_ms(told.output_tokens)
    print(f"the law says: ttft {ttft_ms:.3f} ms, tpot {tpot_ms:.3f} ms; medians of {told.requests} requests,")
    print("ttft from sent; errors against the log of sends, p50 and p99; late: sends of the engine, p99")
    title = "The same timing behind every dialect, no traps"
    rows = print_rows(title, emulations, load, cores, has_traps=False)
    apart_ms, found = widest_ms(rows), faults(rows)
    if not told.same_only:
        found += faults(print_rows("Every engine as it comes", emulations, load, cores, has_traps=True))
    is_busy = max(row.late_ms for row in rows) > BUDGET_MS
    if apart_ms >= BUDGET_MS and not is_busy:
        found.append(f"medians of the same timing are {apart_ms:.3f} ms apart")
    print()
    if found:
        sys.exit(f"NOT within {BUDGET_MS:g} ms: {'; '.join(found)}")
    if apart_ms >= BUDGET_MS:
        sys.exit("medians cannot be compared: the engines were late, the machine is busy; errors are within the budget")
    print(f"within {BUDGET_MS:g} ms: the same timing, whatever is spoken")


if __name__ == "__main__":
    main()

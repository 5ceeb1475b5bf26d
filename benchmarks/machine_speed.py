# SPDX-License-Identifier: Apache-2.0
"""How much the machine's own speed wanders: the arithmetic of a small model, with no engine and nothing else at work.

    taskset -c 0 python benchmarks/machine_speed.py [--seconds 30]

Half a second of prompts (matrices times 128 columns), half a second of single tokens (times 4), over and over, on one
core. What moves here moves an engine's times as well, and no verdict can tell it from the engine.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

from inferometer.clock import monotonic_ns
from inferometer.units import NS_PER_S

N_MATRICES, SHAPE = 5, (256, 1024)  # 5 MB of weights, about the embedded model's
SPELL_NS = NS_PER_S // 2
COLUMNS = {"prompts": 128, "single tokens": 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30)
    n_rounds = max(1, round(parser.parse_args().seconds * NS_PER_S / SPELL_NS / len(COLUMNS)))
    rng = np.random.default_rng(1)
    weights = [rng.random(SHAPE, dtype=np.float32) for _ in range(N_MATRICES)]
    passes_per_s: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for _ in range(n_rounds):
        for name, n_columns in COLUMNS.items():
            passes_per_s[name].append(speed(weights, rng.random((n_columns, SHAPE[0]), dtype=np.float32)))
    print("passes per second      slowest   median  fastest  fastest/slowest")
    for name, found in passes_per_s.items():
        slowest, fastest = min(found), max(found)
        print(f"{name:20} {slowest:9.0f} {statistics.median(found):8.0f} {fastest:8.0f} {fastest / slowest:16.2f}")
        print("  " + " ".join(f"{value:.0f}" for value in found))


def speed(weights: list[np.ndarray], inputs: np.ndarray) -> float:
    """Passes through all weights per second, over half a second."""
    t_start_ns = monotonic_ns()
    n_passes = 0
    while (elapsed_ns := monotonic_ns() - t_start_ns) < SPELL_NS:
        for matrix in weights:
            inputs @ matrix
        n_passes += 1
    return n_passes * NS_PER_S / elapsed_ns


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""How often a default run comes out valid, and how far its numbers differ from run to run.

    python benchmarks/default_runs.py [--runs 20]

Each run is `inferometer run` as it stands: engine started, measured, stopped. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS = (("ttft_s", "p50"), ("ttft_s", "p99"), ("tpot_s", "p50"), ("e2e_s", "p50"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    n_runs = parser.parse_args().runs
    print(
        "| run | verdict | requests | ttft p50 ms | ttft p99 ms | tpot p50 ms | e2e p50 ms | req/s | sent late p99 ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    n_valid = 0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(1, n_runs + 1):
            report = run(Path(folder) / str(i))
            n_valid += report["verdict"]["level"] == "valid"
            print(row(i, report), flush=True)
    print(f"\n{n_valid} of {n_runs} valid")


def run(folder: Path) -> dict:
    """One default run's JSON report, whatever its exit code."""
    argv = [sys.executable, "-m", "inferometer", "run", "--quiet", "--format", "json", "--out", str(folder)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)


def row(i: int, report: dict) -> str:
    metrics = report["metrics"]
    values = [metrics[name][statistic]["value"] for name, statistic in ROWS]
    cells = ["-" if value is None else f"{1e3 * value:.2f}" for value in values]
    rate = metrics["request_throughput_per_s"]["value"]["value"]
    late = report["fidelity"]["lateness_p99_s"]["value"]
    reasons = ", ".join(reason["code"] for reason in report["verdict"]["reasons"])
    verdict = report["verdict"]["level"] + (f" ({reasons})" if reasons else "")
    cells += [f"{rate:.1f}", f"{1e3 * late:.2f}"]
    return f"| {i} | {verdict} | {report['counts']['ok']} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()

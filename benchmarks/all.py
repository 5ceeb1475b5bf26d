# SPDX-License-Identifier: Apache-2.0
"""Every figure, one script after the other, as plain text into a folder. Leave the machine alone meanwhile: 20 minutes.

    python benchmarks/all.py [--out benchmark-results] [--quick] [--install]

--quick tries everything out with short runs; its numbers are good for nothing else. The hour is not among them.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from truth_server import HERE

# Name of the result, script, arguments, arguments of --quick.
SCRIPTS = (
    ("together", "together.py", ["--streams=256,1000", "--seconds=60"], ["--streams=32,64", "--seconds=4"]),
    (
        "workers",
        "together.py",
        ["--streams=256", "--seconds=30", "--workers=1,2"],
        ["--streams=32", "--seconds=4", "--workers=1,2"],
    ),
    ("rate", "rate.py", ["--seconds=6"], ["--seconds=2", "--rates=2000,4000"]),
    (
        "rate-1000",
        "rate.py",
        ["--streams=1000", "--rates=100000", "--seconds=60", "--clients=inferometer"],
        ["--streams=100", "--rates=2000", "--seconds=3", "--clients=inferometer"],
    ),
    (
        "rate-64",
        "rate.py",
        ["--streams=64", "--rates=60000", "--seconds=60", "--clients=inferometer"],
        ["--streams=64", "--rates=2000", "--seconds=3", "--clients=inferometer"],
    ),
    ("streams", "streams.py", [], ["--streams=1500", "--seconds=4"]),
    ("open-loop", "open_loop.py", [], ["--rate=100", "--seconds=3"]),
    ("launch", "launch.py", [], ["--pairs=2"]),
    ("report", "report.py", [], ["--chunks=200000"]),
    ("page", "page.py", [], ["--requests=20000"]),
    ("comparison-page", "comparison_page.py", [], ["--requests=20000"]),
)
TIMEOUT_S = 1800


def machine() -> str:
    """One paragraph of what the figures were measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return (
        f"{model.partition(':')[2].strip() or platform.machine()}, {os.cpu_count()} cores, {memory_kb / 1e6:.0f} GB; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}; "
        f"load average before: {', '.join(f'{load:.2f}' for load in os.getloadavg())}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--install", action="store_true", help="the size of an installation too")
    parser.add_argument("--only", help="names of results, with commas between")
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    wanted = told.only.split(",") if told.only else [name for name, *_ in SCRIPTS]
    (told.out / "machine.txt").write_text(machine() + "\n")
    print(machine(), flush=True)
    failed = []
    for name, script, arguments, quick in SCRIPTS:
        if name not in wanted:
            continue
        argv = [sys.executable, str(HERE / script), *(quick if told.quick else arguments)]
        if name == "launch" and told.install:
            argv.append("--install")
        t_start_s = time.monotonic()
        with (told.out / f"{name}.txt").open("w") as file:
            done = subprocess.run(argv, stdout=file, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False)
        print((told.out / f"{name}.txt").read_text(), end="")
        print(f"-- {name}: {time.monotonic() - t_start_s:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""From the command line to the first request at the server; `--help`; the size of an installation.

    python benchmarks/launch.py [--pairs 10] [--install]

Each launch stands beside one of `python -c pass` a moment before, so that a slow machine shows as such. The server
gives first chunks after 60 ms and one every 20 ms. --install makes a fresh environment with the embedded engine from
the package index, which takes minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from clients import print_columns, two_cores, watch
from truth_server import HERE, Answers, Room, TruthServer

from inferometer.truth.log import TruthLog
from inferometer.units import NS_PER_S

OPEN = ("--rate=10", "--requests=5", "--warmup=0")
CLOSED = ("--requests=5",)


def elapsed_s(argv: list[str], core: int) -> float:
    t_start_s = time.monotonic()
    subprocess.run(argv, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {core}), check=True)
    return time.monotonic() - t_start_s


def first_requests_s(flags: tuple[str, ...], server_core: int, client_core: int) -> tuple[float, float]:
    """From the launch until the server has the first request of any kind, and the first of the plan."""
    answers = Answers(ttft_ms=60, gap_ms=20)
    with TruthServer(answers, Room(), cpu=server_core) as server, tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "inferometer", "run", server.url, *flags, "--output-tokens=16", "--quiet"]
        t_launch_ns = time.monotonic_ns()
        watch([*argv, f"--out={folder}/run"], client_core)
        log: TruthLog = server.stop()
    planned = [i for i, text in enumerate(log.requests["x_request_id"]) if "-" in text]
    if not planned:
        raise SystemExit(f"no request of the plan came: {' '.join(argv)}")
    t_planned_ns = int(log.requests["t_arrival_ns"][planned].min())
    return (log.meta["t_first_ns"] - t_launch_ns) / NS_PER_S, (t_planned_ns - t_launch_ns) / NS_PER_S


def spread(values_s: list[float]) -> str:
    return f"{statistics.median(values_s):.3f} ({min(values_s):.3f}-{max(values_s):.3f})"


def launches(n_pairs: int, server_core: int, client_core: int) -> None:
    bare, help_, first, planned_open, planned_closed = [], [], [], [], []
    for _ in range(n_pairs):
        bare.append(elapsed_s([sys.executable, "-c", "pass"], client_core))
        help_.append(elapsed_s([sys.executable, "-m", "inferometer", "--help"], client_core))
        any_s, planned_s = first_requests_s(OPEN, server_core, client_core)
        first.append(any_s)
        planned_open.append(planned_s)
        any_s, planned_s = first_requests_s(CLOSED, server_core, client_core)
        first.append(any_s)
        planned_closed.append(planned_s)
    print_columns(
        f"{n_pairs} launches each, s: median (lowest-highest)",
        ("seconds",),
        [
            ("python -c pass", [spread(bare)], ""),
            ("inferometer --help", [spread(help_)], "under 0.25"),
            ("run URL: first request at the server", [spread(first)], "under 1"),
            ("run URL --rate: first of the plan", [spread(planned_open)], ""),
            ("run URL: first of the plan", [spread(planned_closed)], ""),
        ],
    )
    print("  before its plan a run asks who serves, sends a few requests to see what it really does,")
    print("  and in closed loop times one alone; an engine's own speed is in those", flush=True)


def install() -> None:
    """Size of a fresh environment with the package and the embedded engine, and what it is without them."""
    with tempfile.TemporaryDirectory(prefix="inferometer-size-") as folder:
        place = Path(folder) / "env"
        venv.create(place, with_pip=True)
        before = size_bytes(place)
        subprocess.run([place / "bin" / "pip", "install", "--quiet", f"{HERE.parent}[embedded]"], check=True)
        after = size_bytes(place)
        largest = sorted(
            ((size_bytes(path), path.name) for path in next(place.glob("lib/python*/site-packages")).iterdir()),
            reverse=True,
        )[:6]
    print_columns(
        "a fresh environment with the embedded engine, MB",
        ("MB",),
        [
            ("environment with pip alone", [f"{before / 1e6:,.0f}"], ""),
            ("with inferometer[embedded]", [f"{after / 1e6:,.0f}"], "under 500"),
            *[(f"  {name}", [f"{n_bytes / 1e6:,.0f}"], "") for n_bytes, name in largest],
        ],
    )


def size_bytes(path: Path) -> int:
    """Bytes on disk, symbolic links not followed."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if not file.is_symlink() and file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--install", action="store_true")
    told = parser.parse_args()
    launches(told.pairs, *two_cores())
    if told.install:
        install()


if __name__ == "__main__":
    main()

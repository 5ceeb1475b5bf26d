# SPDX-License-Identifier: Apache-2.0
"""The page of a comparison of many large runs: time, size and memory of `inferometer compare --format html`.

    python benchmarks/comparison_page.py [--requests 1000000] [--runs 10]

The folders are made as by page.py, each with draws of its own, half of them for either side: their tables are there
already, as they are when a run is over.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from clients import print_columns, two_cores, watch
from page import MAX_PAGE_BYTES, MAX_S, N_TOKENS

from inferometer.clock import Clock
from inferometer.run_folder import Run
from inferometer.units import NS_PER_S
from report import enlarge, short_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000, help="of all runs together")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="leave the page here")
    told = parser.parse_args()
    server_core, client_core = two_cores()
    with tempfile.TemporaryDirectory(prefix="inferometer-comparison-") as folder:
        first = short_run(Path(folder) / "first", server_core, client_core)
        clock = Clock()
        n_chunks = 0
        for i in range(told.runs):
            path = Path(folder) / "AB"[i % 2] / f"{i:02}"
            shutil.copytree(first.path, path)
            n_chunks += enlarge(Run.open(str(path)), told.requests // told.runs, N_TOKENS, seed=i)
        print(f"made in {clock.now_ns() / NS_PER_S:.0f} s", flush=True)
        page = told.keep or Path(folder) / "page.html"
        sides = [str(Path(folder) / side) for side in "AB"]
        argv = [sys.executable, "-m", "inferometer", "compare", *sides, "--ignore", "validity,plan", "--format", "html"]
        ended = watch([*argv, "--out", str(page)], client_core)
        if ended.code:
            print(ended.output)
        n_bytes = page.stat().st_size
    print_columns(
        f"page of a comparison of {told.runs} runs, {told.requests:,} requests and {n_chunks:,} chunks in all",
        ("inferometer",),
        [
            ("time, s", [f"{ended.elapsed_s:.1f}"], f"under {MAX_S:g}"),
            ("CPU time, s", [f"{ended.cpu_s:.1f}"], ""),
            ("peak RSS, MB", [f"{ended.peak_rss_bytes / 1e6:,.0f}"], ""),
            ("page, kB", [f"{n_bytes / 1e3:,.0f}"], f"under {MAX_PAGE_BYTES / 1e3:,.0f}"),
            ("exit code", [str(ended.code)], ""),
        ],
    )


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The page of a large run that is decoded already: time, size and memory of `inferometer report --format html`.

    python benchmarks/page.py [--requests 1000000]

The folder is made as by report.py: short answers of 8 tokens, so that there are many requests rather than many chunks;
an hour of them and more, with limits that some miss.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from clients import print_columns, two_cores, watch

from inferometer.clock import Clock
from inferometer.units import NS_PER_S
from report import enlarge, short_run

N_TOKENS = 8
SLO = "ttft<500ms,tpot<25ms,ttft_p99<1s"
MAX_S, MAX_PAGE_BYTES = 20.0, 2_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="leave the page here")
    told = parser.parse_args()
    server_core, client_core = two_cores()
    with tempfile.TemporaryDirectory(prefix="inferometer-html-") as folder:
        run = short_run(Path(folder) / "run", server_core, client_core)
        clock = Clock()
        n_chunks = enlarge(run, told.requests, N_TOKENS)
        print(f"made in {clock.now_ns() / NS_PER_S:.0f} s", flush=True)
        page = told.keep or Path(folder) / "page.html"
        argv = [sys.executable, "-m", "inferometer", "report", str(run.path), "--slo", SLO, "--format", "html"]
        ended = watch([*argv, "--out", str(page)], client_core)
        if ended.code not in (0, 4, 5):  # 4, 5: of the verdict or a limit, which is no failure to report
            print(ended.output)
        n_bytes = page.stat().st_size
    print_columns(
        f"page of a decoded run of {told.requests:,} requests and {n_chunks:,} chunks",
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

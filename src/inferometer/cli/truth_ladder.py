# SPDX-License-Identifier: Apache-2.0
"""The self-test: the whole tool, from plan to tables, run against the ground-truth server."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TextIO

from inferometer import experiment
from inferometer.cli.live import Silent
from inferometer.config import Experiment, Warmup
from inferometer.host.launch import divide_cores
from inferometer.records import Trace
from inferometer.truth import selftest
from inferometer.truth.selftest import LADDER, Load


def climb_and_print(out: TextIO, n_loads: int | None = None) -> bool:
    """Print a line per load as it is done, then the verdict. Returns whether at least the first load was within budget.

    Client and server each get a core of their own where there are two.
    """
    client_cores, server_cores = divide_cores()
    if client_cores:
        os.sched_setaffinity(0, client_cores)
    out.write("\n".join(selftest.HEADING) + "\n")
    out.flush()
    rungs = []
    server_cpu = server_cores[0] if server_cores else None
    for rung in selftest.climb(measure, LADDER[:n_loads], server_cpu=server_cpu):
        rungs.append(rung)
        out.write(selftest.line(rung) + "\n")
        out.flush()
    out.write(selftest.verdict(rungs) + "\n")
    return rungs[0].is_within


def measure(url: str, load: Load) -> Trace:
    """One load by the same path as `inferometer run URL`, in a folder that does not stay."""
    with tempfile.TemporaryDirectory(prefix="inferometer-self-test-") as folder:
        config = Experiment(
            url=url,
            api="chat",
            concurrency=load.n_streams if load.is_together else None,
            rate=None if load.is_together else load.n_streams / load.release_s,
            arrivals="constant",
            requests=load.n_requests,
            warmup=Warmup(),
            input_tokens="8",
            output_tokens=str(load.n_chunks),
            out=str(Path(folder) / "run"),
            workers=1,
        )
        return experiment.run(config, Silent(), is_staggered=False).trace()

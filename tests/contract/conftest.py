# SPDX-License-Identifier: Apache-2.0
"""For the contract: each engine once per session, one run of the whole tool per API, and a place for what was found.

A test of the contract takes `engine` and is thereby asked of llama.cpp (marker `engine`) and of vLLM (marker `vllm`).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from tests.contract import table
from tests.contract.engines import CONTRACTS, Running, started

from inferometer.clock import Clock, utc_now
from inferometer.host.environment import n_cores_usable
from inferometer.units import NS_PER_S, format_bytes

N_REQUESTS = 24
GONE_WITHIN_S = 10.0

# A start may take its 300 s, and the environment has to be made where it is absent.
_VLLM = (pytest.mark.vllm, pytest.mark.timeout(900))
ENGINES = [pytest.param("llamacpp", marks=pytest.mark.engine), pytest.param("vllm", marks=_VLLM)]

Found = Callable[[str, str], None]


@pytest.fixture(scope="session")
def findings(request: pytest.FixtureRequest) -> Iterator[dict[str, dict[str, str]]]:
    """Engine -> row of the table -> what it did; printed in the end, and kept with --update."""
    found: dict[str, dict[str, str]] = {}
    yield found
    for engine, rows in found.items():
        print(f"\n{engine}\n" + "\n".join(f"  {row:46} {text}" for row, text in rows.items()))
        if request.config.getoption("--update") and not request.session.testsfailed:
            table.keep(engine, rows)  # `pytest tests/contract/table_test.py --update` then puts it into the page


@pytest.fixture(scope="session", params=ENGINES)
def engine(
    request: pytest.FixtureRequest, findings: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A running engine. That its end leaves nothing is asked in the end."""
    contract = CONTRACTS[request.param]
    rows = findings.setdefault(contract.name, {})
    with started(contract, tmp_path_factory.mktemp(contract.name)) as running:
        rows |= {
            "date": utc_now().date().isoformat(),
            "machine": f"{n_cores_usable()} cores, load average {os.getloadavg()[0]:.1f}, Python "
            + platform.python_version(),
            "version": running.start.version,
            "model": f"{running.start.model.name}, {format_bytes(running.start.model.n_bytes)}",
            "ready": f"after {running.server.ready_s:.1f} s",
        }
        yield running
        memory = running.server.peak_memory_bytes()
        pids = running.server.pids()
        clock = Clock()
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=GONE_WITHIN_S)
    assert [p.pid for p in alive if p.status() != psutil.STATUS_ZOMBIE] == [], "processes are left"
    rows["memory at most"] = format_bytes(memory) if memory else "not measured"
    rows["stop"] = f"{len(pids)} processes gone after {clock.now_ns() / NS_PER_S:.1f} s"


@pytest.fixture
def found(engine: Running, findings: dict[str, dict[str, str]]) -> Found:
    """`found(row, text)`: what this engine did, for the table."""

    def write(row: str, text: str) -> None:
        findings[engine.contract.name][row] = text

    return write


@dataclass(frozen=True)
class Measured:
    """A run of the whole tool. `requests`, `chunks`: its tables; `gauges`: server samples in order, by name."""

    told: dict[str, Any]
    manifest: dict[str, Any]
    requests: list[dict[str, Any]]
    chunks: list[dict[str, Any]]
    gauges: dict[str, list[float]]

    def rise(self, gauge: str) -> float:
        return self.gauges[gauge][-1] - self.gauges[gauge][0]


@pytest.fixture(scope="session")
def measured(engine: Running, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Measured]:
    """`measured(api)`: `inferometer run URL --api`, requests one at a time, once per engine and API."""
    done: dict[str, Measured] = {}

    def run(api: str) -> Measured:
        if api not in done:
            done[api] = _run(engine.url, api, tmp_path_factory.mktemp("runs") / api)
        return done[api]

    return run


def _run(url: str, api: str, folder: Path) -> Measured:
    flags = ["--concurrency", "1", "--requests", str(N_REQUESTS), "--warmup", "2", "--count-tokens", "--api", api]
    flags += ["--input-tokens", "uniform:60-140", "--output-tokens", "uniform:1-40", "--format", "json"]
    command = [sys.executable, "-m", "inferometer", "run", url, *flags, "--out", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode in (0, 4), process.stderr
    gauges: dict[str, list[float]] = {}
    for sample in sorted(_table(folder, "samples"), key=lambda sample: sample["t_ns"]):
        if sample["source"] == "server":
            gauges.setdefault(sample["gauge"], []).append(sample["value"])
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return Measured(json.loads(process.stdout), manifest, _table(folder, "requests"), _table(folder, "chunks"), gauges)


def _table(folder: Path, name: str) -> list[dict[str, Any]]:
    with duckdb.connect() as con:
        result = con.execute(f"SELECT * FROM '{folder / name}.parquet'")
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

# SPDX-License-Identifier: Apache-2.0
"""How fast the cores, or the GPU, that an engine uses can compute and read at most, measured by a benchmark of our own.

`python -m inferometer.host.ceilings` is the benchmark, in a process of its own: one thread on each core, each with
matrices and memory of its own, so that nothing is lost between them.

Rule 1: reading is measured twice: beyond every cache, and over as many bytes as the model's step reads. A small model
lies in the caches, and would seem to beat the memory.
Rule 2: every repeat is handed back, not their best; what is made of them is not decided here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inferometer.clock import Clock
from inferometer.units import NS_PER_S

N_REPEATS = 20
_REPEAT_S = 0.1
_SIZES = (256, 512, 1024)  # of square matrices: which is fastest differs between machines
_BEYOND_BYTES, _MOST_BYTES = 256 << 20, 2 << 30
_LEAST_BYTES = 64 << 10  # a thread: less would measure the calls
_L3 = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_WITHIN_S = 180.0
_GPU_SIZE, _GPU_BYTES = 8192, 1 << 30


class NoCeilings(Exception):
    """They cannot be measured. `str(error)` says why."""


class Rates(msgspec.Struct, frozen=True):
    """Repeats of each, of all cores together. `format`: of the numbers multiplied; `read`: bytes per second beyond the
    caches, `read_near`: over `near_bytes`; `where`: on what."""

    where: str
    format: str
    flops_per_s: list[float]
    read_bytes_per_s: list[float]
    read_near_bytes_per_s: list[float] = []
    near_bytes: int = 0


def measure(cores: Sequence[int], near_bytes: int) -> Rates:
    """Of these cores; takes some ten seconds. Raises: NoCeilings."""
    return _in_child(["cpu", ",".join(map(str, cores)), str(near_bytes)], _one_thread())


def measure_gpu() -> Rates:
    """Of the first NVIDIA GPU, with PyTorch. Raises: NoCeilings."""
    return _in_child(["gpu"], dict(os.environ))


def _one_thread() -> dict[str, str]:
    """BLAS computes in the thread that calls it: the threads are ours."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}


def _in_child(words: Sequence[str], env: dict[str, str]) -> Rates:
    argv = [sys.executable, "-P", "-m", "inferometer.host.ceilings", *words]
    try:
        done = subprocess.run(argv, env=env, capture_output=True, timeout=_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCeilings(f"the benchmark did not end: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it did not say why"]
        raise NoCeilings(said[-1])
    return msgspec.json.decode(done.stdout, type=Rates)


# --- the benchmark -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Crew:
    """One thread on each core."""

    cores: tuple[int, ...]
    pool: ThreadPoolExecutor = field(init=False)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(len(self.cores))

    def rates(self, make: Callable[[], tuple[Callable[[], Any], float]], n_repeats: int = N_REPEATS) -> list[float]:
        """What all do together per second, once per repeat. `make() -> (what is done, how much that is)`, in each
        thread, so that its memory is the core's own."""
        tools = list(self.pool.map(self._settled(make), self.cores))
        found = []
        for _ in range(n_repeats):
            spent = self.pool.map(self._repeat, tools)
            found.append(sum(spent))
        return found

    def _settled(self, make: Callable[[], tuple[Callable[[], Any], float]]) -> Callable[[int], Any]:
        def on(core: int) -> tuple[int, Callable[[], Any], float, int]:
            os.sched_setaffinity(0, {core})
            act, work = make()
            act()
            spent_s = self._timed(act, 1)
            return core, act, work, max(1, round(_REPEAT_S / max(spent_s, 1e-7)))

        return on

    def _repeat(self, tool: tuple[int, Callable[[], Any], float, int]) -> float:
        core, act, work, n = tool
        os.sched_setaffinity(0, {core})
        return n * work / self._timed(act, n)

    def _timed(self, act: Callable[[], Any], n: int) -> float:
        t_start_ns = self.clock.now_ns()
        for _ in range(n):
            act()
        return max(self.clock.now_ns() - t_start_ns, 1) / NS_PER_S


def _product(size: int) -> tuple[Callable[[], Any], float]:
    a, b = np.full((size, size), 0.5, np.float32), np.full((size, size), 0.25, np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out), 2.0 * size**3


def _reading(n_bytes: int) -> tuple[Callable[[], Any], float]:
    """A vector times itself: every number is read once, and hardly anything computed."""
    values = np.full(max(n_bytes // 4, 1), 0.5, np.float32)
    return lambda: np.dot(values, values), float(values.nbytes)


def _of_cores(cores: tuple[int, ...], near_bytes: int) -> Rates:
    crew = _Crew(cores)
    sizes = {size: max(crew.rates(lambda size=size: _product(size), 3)) for size in _SIZES}  # type: ignore[misc]
    size = max(sizes, key=lambda one: sizes[one])
    far = min(max(_BEYOND_BYTES, 2 * _l3_bytes()), _MOST_BYTES) // len(cores)
    near = max(near_bytes // len(cores), _LEAST_BYTES)
    return Rates(
        where=f"{len(cores)} {'core' if len(cores) == 1 else 'cores'}, numpy {np.__version__}",
        format="fp32",
        flops_per_s=crew.rates(lambda: _product(size)),
        read_bytes_per_s=crew.rates(lambda: _reading(far)),
        read_near_bytes_per_s=crew.rates(lambda: _reading(near)) if near < far else [],
        near_bytes=near * len(cores),
    )


def _l3_bytes() -> int:
    """Of the last cache, 0 where the system does not tell."""
    text = _L3.read_text().strip() if _L3.exists() else ""
    return int(text[:-1]) * 1024 if text.endswith("K") and text[:-1].isdecimal() else 0


def _of_gpu() -> Rates:
    try:
        import torch
    except ImportError as error:
        raise NoCeilings("the GPU's own ceilings are measured with PyTorch, which is not installed") from error
    if not torch.cuda.is_available():
        raise NoCeilings("PyTorch sees no GPU")
    clock = Clock()
    a = torch.randn(_GPU_SIZE, _GPU_SIZE, dtype=torch.bfloat16, device="cuda")
    values = torch.ones(_GPU_BYTES // 4, dtype=torch.float32, device="cuda")
    target = torch.empty_like(values)

    def rates(act: Callable[[], Any], work: float, n: int = 5) -> list[float]:
        found = []
        for i in range(N_REPEATS + 3):
            torch.cuda.synchronize()
            t_start_ns = clock.now_ns()
            for _ in range(n):
                act()
            torch.cuda.synchronize()
            if i >= 3:  # the first set up kernels
                found.append(n * work * NS_PER_S / max(clock.now_ns() - t_start_ns, 1))
        return found

    return Rates(
        where=f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}",
        format="bf16",
        flops_per_s=rates(lambda: torch.matmul(a, a), 2.0 * _GPU_SIZE**3),
        read_bytes_per_s=rates(lambda: target.copy_(values), 2.0 * _GPU_BYTES),  # read once, written once
    )


def main(argv: Sequence[str]) -> int:
    try:
        found = _of_gpu() if argv[0] == "gpu" else _of_cores(tuple(map(int, argv[1].split(","))), int(argv[2]))
    except (NoCeilings, OSError, MemoryError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

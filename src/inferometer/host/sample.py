# SPDX-License-Identifier: Apache-2.0
"""Gauges of what a measurement costs and suffers: our own process, the machine, the engine's processes.

Rule 1: a reading costs some 10 us (100 us for an engine of a hundred threads): files of /proc stay open, only what
moves is read. Memory with shared pages by their share is dear (0.7-1.6 ms for the kernel to add up): it is read at
first, and then rarely. What a process has for itself alone the kernel keeps count of.
Rule 2: what cannot be had here is absent, never zero. Durations are cumulative seconds, so no reading is ever lost.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Sequence
from typing import Literal

import psutil

from inferometer.clock import Clock, process_cpu_ns
from inferometer.host.rapl import Rapl
from inferometer.units import NS_PER_S

Gauges = list[tuple[str, float]]

MEMORY_EVERY = 30  # readings, that is about every 30 s
_THREADS_EVERY = 10  # readings; sooner when the number of threads changes
_IS_LINUX = sys.platform == "linux"


class ClientSampler:
    """Our own process. `run_delay_s` is that of the thread that makes the sampler: make it where the loop will run.

    Gauges: run_delay_s (ready to run, but another had the core), cpu_s, gc_pause_s, pss_bytes (now and then).
    """

    def __init__(self, source: str = "client") -> None:
        self.source = source
        self._schedstat = _open(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        self._memory = _Memory(os.getpid())
        self._clock = Clock()
        self._gc_started_ns = 0
        self._gc_pause_ns = 0
        gc.callbacks.append(self._on_gc)

    def read(self) -> Gauges:
        gauges: Gauges = []
        if self._schedstat is not None:
            cpu_ns, run_delay_ns = _schedstat(self._schedstat)
            if cpu_ns > 0:  # a kernel that does not keep these sums shows zeros
                gauges.append(("run_delay_s", run_delay_ns / NS_PER_S))
        gauges.append(("cpu_s", process_cpu_ns() / NS_PER_S))
        gauges.append(("gc_pause_s", self._gc_pause_ns / NS_PER_S))
        return gauges + self._memory.read()

    def close(self) -> None:
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)
        _close(self._schedstat)
        self._schedstat = None

    def _on_gc(self, phase: Literal["start", "stop"], info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_started_ns = self._clock.now_ns()
        else:
            self._gc_pause_ns += self._clock.now_ns() - self._gc_started_ns


class HostSampler:
    """The machine; of a container, the machine below it. Gauges: n_cores, cpu_busy_s (all cores), steal_s (Linux),
    and what the processor counts of its own energy, where that can be read (rapl.py)."""

    source = "host"

    def __init__(self) -> None:
        self._stat = _open("/proc/stat")
        self._energy = Rapl()

    def read(self) -> Gauges:
        cores = ("n_cores", float(os.cpu_count() or 1))
        if self._stat is not None:
            busy_s, steal_s = parse_cpu_times(os.pread(self._stat, 256, 0))
            return [cores, ("cpu_busy_s", busy_s), ("steal_s", steal_s), *self._energy.read()]
        times = psutil.cpu_times()
        return [cores, ("cpu_busy_s", float(times.user + times.system + getattr(times, "nice", 0.0)))]

    def close(self) -> None:
        _close(self._stat)
        self._stat = None


class EngineSampler:
    """All processes of an engine, summed. Gauges: run_delay_s, private_bytes (Linux), cpu_s, pss_bytes (now and then).

    A process or thread that has ended keeps the times that it had: they never fall. Empty if nothing can be read.
    """

    source = "engine"

    def __init__(self, pids: Sequence[int]) -> None:
        self._processes = [_Threads(pid) if _IS_LINUX else _Portable(pid) for pid in pids]
        self._memories = [_Memory(pid) for pid in pids]
        self._private = [_Private(pid) for pid in pids]

    def read(self) -> Gauges:
        sums: dict[str, float] = {}
        for part in (*self._processes, *self._memories, *self._private):
            for name, value in part.read():
                sums[name] = sums.get(name, 0.0) + value
        return list(sums.items())

    def close(self) -> None:
        for part in (*self._processes, *self._private):
            part.close()


class _Threads:
    """CPU time and run-queue delay of one process: the sum over its threads, which the kernel does not add up."""

    def __init__(self, pid: int) -> None:
        self._folder = f"/proc/{pid}/task"
        self._files: dict[str, int] = {}
        self._last: dict[str, tuple[int, int]] = {}  # by thread id: CPU ns, delay ns; kept when the thread has ended
        self._n_links = -1
        self._n_reads = 0

    def read(self) -> Gauges:
        self._refresh()
        for thread, file in list(self._files.items()):
            try:
                self._last[thread] = _schedstat(file)
            except OSError:  # the thread has ended
                os.close(self._files.pop(thread))
        cpu_ns = sum(cpu_ns for cpu_ns, _ in self._last.values())
        delay_ns = sum(delay_ns for _, delay_ns in self._last.values())
        # Zero: nothing could be read, or the kernel does not keep these sums.
        return [("run_delay_s", delay_ns / NS_PER_S), ("cpu_s", cpu_ns / NS_PER_S)] if cpu_ns else []

    def _refresh(self) -> None:
        """Look for new threads: when the folder's link count (2 + threads) has changed, and now and then anyway."""
        try:
            n_links = os.stat(self._folder).st_nlink
            if n_links == self._n_links and self._n_reads % _THREADS_EVERY:
                return
            for thread in os.listdir(self._folder):
                if thread not in self._files and (file := _open(f"{self._folder}/{thread}/schedstat")) is not None:
                    self._files[thread] = file
            self._n_links = n_links
        except OSError:  # the process has ended, or is not ours to see
            return
        finally:
            self._n_reads += 1

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()


class _Portable:
    """CPU time of one process where there is no /proc."""

    def __init__(self, pid: int) -> None:
        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            self._process = psutil.Process(pid)
        self._last: Gauges = []

    def read(self) -> Gauges:
        if self._process is not None:
            with contextlib.suppress(psutil.Error):
                times = self._process.cpu_times()
                self._last = [("cpu_s", float(times.user + times.system))]
        return self._last

    def close(self) -> None:
        self._process = None


class _Memory:
    """Proportional set size of one process, every MEMORY_EVERY readings; nothing in between."""

    def __init__(self, pid: int) -> None:
        self._path = f"/proc/{pid}/smaps_rollup"
        self._n_reads = 0

    def read(self) -> Gauges:
        is_due = self._n_reads % MEMORY_EVERY == 0
        self._n_reads += 1
        file = _open(self._path) if is_due else None
        if file is None:
            return []
        try:
            return [("pss_bytes", parse_pss_bytes(os.read(file, 4096)))]
        except OSError:  # the process has ended
            return []
        finally:
            os.close(file)


class _Private:
    """What one process holds for itself alone, in memory: pages that are neither of a file nor shared."""

    def __init__(self, pid: int) -> None:
        self._file = _open(f"/proc/{pid}/statm")

    def read(self) -> Gauges:
        if self._file is None:
            return []
        try:
            return [("private_bytes", parse_private_bytes(os.pread(self._file, 128, 0)))]
        except OSError:  # the process has ended
            return []

    def close(self) -> None:
        _close(self._file)
        self._file = None


def parse_cpu_times(stat: bytes) -> tuple[float, float]:
    """(busy, stolen) seconds of all cores, out of the first line of /proc/stat.

    Fields (proc(5)), in clock ticks: user nice system idle iowait irq softirq steal; guests are within user.
    """
    ticks = [int(field) for field in stat.split(b"\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = ticks
    per_s = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / per_s, steal / per_s


def parse_private_bytes(statm: bytes) -> float:
    """Resident less shared, of /proc/PID/statm (proc(5)): size resident shared text lib data dt, in pages."""
    _, resident, shared, *_ = statm.split()
    return float(int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def parse_pss_bytes(smaps: bytes) -> float:
    """The `Pss:` line of smaps_rollup."""
    _, _, rest = smaps.partition(b"\nPss:")
    return float(rest.split(None, 1)[0]) * 1024


def _schedstat(file: int) -> tuple[int, int]:
    """(CPU ns, run-queue delay ns) of a thread."""
    cpu_ns, delay_ns, _ = os.pread(file, 128, 0).split()
    return int(cpu_ns), int(delay_ns)


def _open(path: str) -> int | None:
    """A file descriptor, or None where there is no such file or it is not ours to read."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return None


def _close(file: int | None) -> None:
    if file is not None:
        os.close(file)

# SPDX-License-Identifier: Apache-2.0
"""What on this machine would spoil a run: checks with numbers, as data. Takes a little more than a second.

Rule 1: a check tries the thing itself where it can (a stamp on a real socket, a real timer), not only its settings.
Rule 2: a level says what a run would be because of it: "valid", "suspect" or "invalid"; the text holds the numbers.
Rule 3: a check that cannot be made here is left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from inferometer.clock import Clock, sleep_s
from inferometer.host import environment
from inferometer.units import NS_PER_MS, NS_PER_S, format_bytes, format_duration

VALID, SUSPECT, INVALID = "valid", "suspect", "invalid"

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h: x86, ARM, RISC-V, POWER; Python has no name for it
_N_STAMPS = 40
_WATCH_S = 1.0
_GOOD_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen")
_N_READINGS = 20_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `level`: what a run would be because of it; `text`: the numbers; `remedy` may be empty."""

    code: str
    level: str
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """What one second on this machine looked like from here.

    `late_s` float64[n]: how late 1 ms timers fired; `steal_ratio`: of all cores' time, None where not known;
    `busy_cores`: cores kept busy by others; `busiest`: (name, pid, cores) of other processes; `swapped_bytes`: in
    and out.
    """

    late_s: np.ndarray[tuple[int], np.dtype[np.float64]]
    steal_ratio: float | None
    busy_cores: float
    busiest: tuple[tuple[str, int, float], ...]
    swapped_bytes: int


def doctor(folder: Path | None = None) -> list[Check]:
    """All checks. `folder`: where run folders will be written (default: here)."""
    watched = watch(_WATCH_S)
    checks = [
        check_kernel_stamps(),
        check_clock(),
        check_cores(environment.n_cores_usable(), environment.cpu_quota_cores()),
        check_timers(watched),
        check_steal(watched),
        check_load(watched, environment.n_cores_usable(), environment.load_average()),
        check_swap(watched),
        check_timer_slack(environment.timer_slack_ns()),
        check_governor(environment.governor()),
        check_open_files(environment.open_files_limits()),
        check_disk(shutil.disk_usage(folder or Path.cwd()).free),
        check_embedded(environment.versions()),
    ]
    return [check for check in checks if check is not None]


def watch(seconds: float) -> Watched:
    """Let 1 ms timers run for a while, and see what else the machine did meanwhile."""
    clock = Clock()
    before = _cpu_by_process()
    others_before, steal_before, swap_before = _busy_s(), environment.steal_s(), psutil.swap_memory()
    start_ns = clock.now_ns()
    late_ns = []
    while (now_ns := clock.now_ns()) < start_ns + seconds * NS_PER_S:
        due_ns = now_ns + NS_PER_MS
        clock.sleep_until(due_ns)
        late_ns.append(clock.now_ns() - due_ns)
    elapsed_s = (clock.now_ns() - start_ns) / NS_PER_S
    others_after, steal_after, swap_after = _busy_s(), environment.steal_s(), psutil.swap_memory()
    busiest = sorted(
        (
            (used_s / elapsed_s, name, pid)
            for (pid, name), after_s in _cpu_by_process().items()
            if (used_s := after_s - before.get((pid, name), after_s)) > 0
        ),
        reverse=True,
    )
    return Watched(
        late_s=np.array(late_ns) / NS_PER_S,
        steal_ratio=None
        if steal_before is None or steal_after is None
        else (steal_after - steal_before) / (elapsed_s * (os.cpu_count() or 1)),
        busy_cores=max(0.0, (others_after - others_before) / elapsed_s),
        busiest=tuple((name, pid, cores) for cores, name, pid in busiest[:3] if cores >= 0.02),
        swapped_bytes=swap_after.sin + swap_after.sout - swap_before.sin - swap_before.sout,
    )


def check_kernel_stamps() -> Check:
    """Whether the kernel stamps what a TCP socket receives, tried over loopback."""
    code = "kernel-stamps"
    remedy = "run on Linux without a sandbox that hides them; until then read stamps are as late as our process is"
    lags_ns: list[int] = []
    with contextlib.suppress(OSError):
        lags_ns = measure_stamp_lags_ns(_N_STAMPS)
    if not lags_ns:
        return Check(code, SUSPECT, f"0 of {_N_STAMPS} reads over loopback carried a kernel receive stamp", remedy)
    lag = f"{len(lags_ns)} of {_N_STAMPS} reads over loopback carried a kernel receive stamp, {_quantiles(lags_ns)}"
    return Check(code, VALID, f"{lag} after the send began")


def measure_stamp_lags_ns(n_reads: int) -> list[int]:
    """Kernel receive stamp minus the instant before the send, for each read that carried a stamp.

    The first few have none on a machine where nobody else asked for stamps: the kernel turns them on in the background.
    Raises: OSError where stamps are refused.
    """
    clock = Clock()
    lags_ns = []
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sender:
        receiver, _ = listener.accept()
        with receiver:
            receiver.settimeout(1.0)
            receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            for _ in range(n_reads):
                before = clock.pair().realtime_ns
                sender.send(b".")
                _, ancillary, _, _ = receiver.recvmsg(16, 64)
                for level, kind, data in ancillary:
                    if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                        seconds, ns = struct.unpack("qq", data)
                        lags_ns.append(seconds * NS_PER_S + ns - before)
                sleep_s(0.001)
    return lags_ns


def check_clock() -> Check:
    """What the kernel's clock is made of, and what reading it costs."""
    source = environment.clock_source()
    clock = Clock()
    start_ns = clock.now_ns()
    for _ in range(_N_READINGS):
        clock.now_ns()
    reading_s = (clock.now_ns() - start_ns) / _N_READINGS / NS_PER_S
    text = f"{source or 'clock source not known'}, a reading takes {format_duration(reading_s)}"
    if reading_s < 1e-6 and (source is None or source in _GOOD_CLOCKS):
        return Check("clock", VALID, text)
    return Check(
        "clock", SUSPECT, text, "have the kernel use a fast clock: write `tsc` to current_clocksource, or ask the host"
    )


def check_cores(n_cores: int, quota_cores: float | None) -> Check:
    """One core for the client and at least one for an engine on the same machine."""
    quota = "" if quota_cores is None else f", limited to the worth of {quota_cores:.2g}"
    text = f"{n_cores} usable{quota}"
    if min(n_cores, quota_cores or n_cores) >= 2:
        return Check("cores", VALID, text)
    return Check(
        "cores",
        SUSPECT,
        f"{text}: an engine on this machine and the client would compete",
        "give it 2 cores or more, or measure a server on another machine",
    )


def check_timers(watched: Watched) -> Check:
    """How late a 1 ms timer fires: requests are sent, and user-space stamps taken, as late as that."""
    late_ns = watched.late_s * NS_PER_S
    p99_s = float(np.quantile(watched.late_s, 0.99))
    text = f"a 1 ms timer fires {_quantiles(late_ns)} late, at worst {format_duration(float(watched.late_s.max()))}"
    level = VALID if p99_s < 1e-3 else SUSPECT if p99_s < 10e-3 else INVALID
    return Check("timers", level, text, "" if level == VALID else "end other work on this machine, or use more cores")


def check_steal(watched: Watched) -> Check | None:
    """Time that the hypervisor gave to other machines."""
    if watched.steal_ratio is None:
        return None
    level = VALID if watched.steal_ratio < 0.005 else SUSPECT if watched.steal_ratio < 0.05 else INVALID
    text = f"{watched.steal_ratio:.1%} of the last second's core time was taken by the hypervisor"
    return Check("steal", level, text, "" if level == VALID else "use a machine with cores of its own")


def check_load(watched: Watched, n_cores: int, load_average: float | None) -> Check:
    """What other processes used of the machine in the second that was watched."""
    names = ", ".join(f"{name} (pid {pid}) {cores:.2f}" for name, pid, cores in watched.busiest)
    text = f"others kept {watched.busy_cores:.2f} of {n_cores} cores busy" + (f": {names}" if names else "")
    if load_average is not None:
        text += f"; load average {load_average:.2f}"
    left = n_cores - watched.busy_cores
    level = VALID if watched.busy_cores < 0.15 else SUSPECT if left >= 1.5 else INVALID
    return Check("load", level, text, "" if level == VALID else "end them, or wait until they are done")


def check_swap(watched: Watched) -> Check:
    """Swapping, that is pauses of milliseconds at any instant."""
    used = format_bytes(psutil.swap_memory().used)
    if watched.swapped_bytes == 0:
        return Check("swap", VALID, f"nothing was swapped in the last second ({used} of swap in use)")
    return Check(
        "swap",
        SUSPECT,
        f"{format_bytes(watched.swapped_bytes)} were swapped in the last second ({used} in use)",
        "free memory, or switch swap off for the run",
    )


def check_timer_slack(slack_ns: int | None) -> Check | None:
    """By how much the kernel may delay our timers to save power."""
    if slack_ns is None:
        return None
    level = VALID if slack_ns <= NS_PER_MS else SUSPECT
    remedy = "" if level == VALID else "start it from a process without a timer slack of its own"
    return Check("timer-slack", level, f"timers may fire up to {format_duration(slack_ns / NS_PER_S)} late", remedy)


def check_governor(governor: str | None) -> Check | None:
    """Whether the cores change speed with load; most virtual machines do not tell."""
    if governor is None:
        return None
    if governor == "powersave":
        return Check("governor", SUSPECT, governor, "for the run: `cpupower frequency-set -g performance`")
    return Check("governor", VALID, governor)


def check_open_files(limits: tuple[int, int] | None) -> Check | None:
    """Each request in flight is an open file."""
    if limits is None:
        return None
    soft, hard = limits
    most = "any number" if hard == sys.maxsize else f"{hard:,}"
    if hard >= 4096:
        return Check("open-files", VALID, f"{soft:,}, raised on demand up to {most}")
    return Check(
        "open-files",
        SUSPECT,
        f"{soft:,}, up to {most}: at most some {max(0, hard - 64):,} requests can be in flight",
        "allow more: `ulimit -Hn 65536` as root",
    )


def check_disk(free_bytes: int) -> Check:
    """Room for records: a default run takes some 10 MB, an hour at 1,000 chunks/s about 1 GB."""
    level = VALID if free_bytes > 2e9 else SUSPECT if free_bytes > 200e6 else INVALID
    remedy = "" if level == VALID else "free some, or name another place with --out"
    return Check("disk", level, f"{format_bytes(free_bytes)} free for run folders", remedy)


def check_embedded(versions: dict[str, str]) -> Check:
    """Whether a run without URL is possible."""
    missing = [name for name in ("xllamacpp", "gguf") if name not in versions]
    if missing:
        return Check(
            "embedded-engine",
            SUSPECT,
            f"not installed ({' and '.join(missing)} missing): a run needs a URL or a command",
            "pip install 'inferometer[embedded]'",
        )
    return Check("embedded-engine", VALID, f"llama.cpp in xllamacpp {versions['xllamacpp']}")


def _quantiles(values_ns: object) -> str:
    p50, p99 = (format_duration(float(value) / NS_PER_S) for value in np.quantile(np.asarray(values_ns), [0.5, 0.99]))
    return f"{p50} (p50), {p99} (p99)"


def _busy_s() -> float:
    """CPU seconds used on all cores since boot by everybody but us."""
    times, own = psutil.cpu_times(), psutil.Process().cpu_times()
    used = times.user + times.system + getattr(times, "nice", 0.0) + getattr(times, "irq", 0.0)
    return float(used + getattr(times, "softirq", 0.0) - own.user - own.system)


def _cpu_by_process() -> dict[tuple[int, str], float]:
    """CPU seconds of every other process that we may see, by pid and name."""
    found: dict[tuple[int, str], float] = {}
    for process in psutil.process_iter():
        if process.pid != os.getpid():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                found[process.pid, process.name()] = times.user + times.system
    return found

# SPDX-License-Identifier: Apache-2.0
"""Facts of the host and of our process, for the manifest; and the number of files we may open.

Rule 1: a fact that cannot be had is left out, never guessed.
Rule 2: everything is JSON-like, with units in the names.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from inferometer import __version__
from inferometer.clock import clock_resolution_s
from inferometer.errors import RunError

_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
_TIMER_SLACK = Path("/proc/self/timerslack_ns")
_CPU_INFO = Path("/proc/cpuinfo")

# What can change a measurement, or the reading of its records.
_PACKAGES = (
    "duckdb",
    "gguf",
    "httpx",
    "huggingface_hub",
    "msgspec",
    "numpy",
    "psutil",
    "scipy",
    "tokenizers",
    "xllamacpp",
)


def host_facts() -> dict[str, Any]:
    """The machine and our place on it, as it is now."""
    facts: dict[str, Any] = {
        "os": platform.system(),
        "os_release": platform.release(),
        "architecture": platform.machine(),
        "cpu": cpu_model(),
        "n_cores": os.cpu_count(),
        "n_cores_usable": n_cores_usable(),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_available_bytes": psutil.virtual_memory().available,
        "swap_used_bytes": psutil.swap_memory().used,
        "clock_source": clock_source(),
        "clock_resolution_s": clock_resolution_s(),
        "cpu_governor": governor(),
        "is_virtual": is_virtual(),
        "load_average_1min": load_average(),
        "cpu_quota_cores": cpu_quota_cores(),
        "memory_limit_bytes": memory_limit_bytes(),
        "timer_slack_ns": timer_slack_ns(),
    }
    if (limits := open_files_limits()) is not None:
        facts["open_files_limit"], facts["open_files_limit_hard"] = limits
    return {name: value for name, value in facts.items() if value is not None}


def versions() -> dict[str, str]:
    """Of inferometer, of Python and of the packages that matter to a run."""
    found = {"inferometer": __version__, "python": platform.python_version()}
    told = {package: _version_of(package) for package in _PACKAGES}
    return found | {package: version for package, version in told.items() if version is not None}


@cache  # the manifest is written several times, and to read what a package says of itself takes 3 ms
def _version_of(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def raise_open_files(n_files: int) -> None:
    """Make sure that `n_files` can be open at once: raise the soft limit where it is too low.

    Raises: RunError if the hard limit forbids it.
    """
    limits = open_files_limits()
    if limits is None or limits[0] >= n_files:
        return
    import resource  # not on Windows

    soft, hard = limits
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    except (ValueError, OSError) as error:
        raise RunError(
            f"this run needs {n_files} open files, but only {soft} are allowed (hard limit {hard})",
            f"lower --concurrency or --rate, or allow more: `ulimit -Hn {n_files}` as root",
        ) from error


def open_files_limits() -> tuple[int, int] | None:
    """(soft, hard) limit of open files; "unlimited" is sys.maxsize. None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = (
        sys.maxsize if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return soft, hard


def n_cores_usable() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str | None:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in _CPU_INFO.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def clock_source() -> str | None:
    """The kernel's clock source (Linux)."""
    return _line(_CLOCK_SOURCE)


def governor() -> str | None:
    """The rule by which cores change speed (Linux, and most virtual machines do not tell)."""
    return _line(_GOVERNOR)


def is_virtual() -> bool | None:
    """Whether a hypervisor runs this machine (x86 Linux); None: not known."""
    with contextlib.suppress(OSError):
        text = _CPU_INFO.read_text()
        if "\nflags" in text:
            return "hypervisor" in text.partition("\nflags")[2].partition("\n")[0].split()
    return None


def cpu_quota_cores() -> float | None:
    """Cores that the container's CPU quota is worth; None without a quota."""
    quota, _, period = (_line(_CGROUP_QUOTA) or "max").partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def memory_limit_bytes() -> int | None:
    """Memory limit of the container; None without one."""
    limit = _line(_CGROUP_MEMORY) or "max"
    return int(limit) if limit.isdecimal() else None


def load_average() -> float | None:
    """Runnable (and, on Linux, blocked) tasks over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def timer_slack_ns() -> int | None:
    """How late the kernel may let our timers fire, to save power (Linux)."""
    slack = _line(_TIMER_SLACK)
    return int(slack) if slack is not None else None


def steal_s() -> float | None:
    """CPU seconds that the hypervisor gave to others since boot, over all cores (Linux)."""
    times = psutil.cpu_times()
    return float(times.steal) if hasattr(times, "steal") else None


def _line(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return None

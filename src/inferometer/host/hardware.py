# SPDX-License-Identifier: Apache-2.0
"""On what an engine could run here: GPUs by kind, with memory and driver; and the CPU, which is always there.

Rule 1: nothing is loaded for it: the kernel's own files and `nvidia-smi` tell, in milliseconds.
Rule 2: a GPU without a working driver is no device, but a note that says so.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from inferometer.host.environment import cpu_model, memory_limit_bytes

_NVIDIA_FOLDER = Path("/proc/driver/nvidia")
_PCI_FOLDER = Path("/sys/bus/pci/devices")
_AMD_DEVICE, _NEURAL_DEVICES = Path("/dev/kfd"), ("davinci_manager", "accel/accel0")
_NVIDIA_VENDOR, _DISPLAY_CLASS = "0x10de", "0x03"
_ASKED = "name,memory.total,driver_version"
_WITHIN_S = 10.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Device:
    """`kind`: as in engines/facts.py; `memory_bytes`: its own, None where it is the machine's or not known."""

    kind: str
    name: str
    memory_bytes: int | None = None
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """`notes`: why something that is there cannot be used."""

    devices: tuple[Device, ...]
    memory_bytes: int
    notes: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> list[Device]:
        return [device for device in self.devices if device.kind == kind]


def look() -> Hardware:
    """What is here now."""
    nvidia, notes = _nvidia()
    devices = [*nvidia, *_others(), Device("cpu", cpu_model() or platform.machine())]
    memory = min(psutil.virtual_memory().total, memory_limit_bytes() or sys.maxsize)
    return Hardware(tuple(devices), memory, tuple(notes))


def _nvidia() -> tuple[list[Device], list[str]]:
    if shutil.which("nvidia-smi") is None:
        if _NVIDIA_FOLDER.exists():
            return [], ["the NVIDIA driver is loaded, but nvidia-smi is missing"]
        return [], ["there is an NVIDIA GPU without a driver"] if _has_nvidia_card() else []
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], [f"nvidia-smi cannot be asked: {error}"]
    if done.returncode != 0:
        told = (done.stdout + done.stderr).strip().splitlines()
        return [], [f"the NVIDIA driver does not work: {told[0] if told else 'nvidia-smi failed'}"]
    return [device for line in done.stdout.splitlines() if (device := _card(line)) is not None], []


def _card(line: str) -> Device | None:
    """One line of nvidia-smi: `NVIDIA H200, 143771, 570.86`."""
    parts = [part.strip() for part in line.split(",")]
    if len(parts) != 3:
        return None
    name, memory, driver = parts
    return Device("cuda", name, int(memory) * _MIB if memory.isdecimal() else None, driver)


def _has_nvidia_card() -> bool:
    with contextlib.suppress(OSError):
        for folder in _PCI_FOLDER.iterdir():
            is_nvidia = (folder / "vendor").read_text().strip() == _NVIDIA_VENDOR
            if is_nvidia and (folder / "class").read_text().startswith(_DISPLAY_CLASS):
                return True
    return False


def _others() -> list[Device]:
    found = []
    if _AMD_DEVICE.exists():
        found.append(Device("rocm", "AMD GPU"))
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.append(Device("metal", "Apple GPU"))
    found += [Device("npu", "NPU") for name in _NEURAL_DEVICES[:1] if Path("/dev", name).exists()]
    found += [Device("tpu", "TPU") for name in _NEURAL_DEVICES[1:] if Path("/dev", name).exists()]
    return found

# SPDX-License-Identifier: Apache-2.0
"""Gauges of NVIDIA GPUs, as their driver tells them through NVML.

Rule 1: what a GPU does not tell is absent, never zero; and where there is none, that is said.
Rule 2: a reading takes up to milliseconds in the driver: never in a process that measures.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

Gauges = list[tuple[str, float]]

_DRIVER = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg")  # the last: Windows below a Linux


class NoGpu(Exception):
    """There is no GPU that could be asked. `str(error)` says why."""


def why_not() -> str:
    """Why GPUs cannot be read here, "" if it is worth trying; cheap, and asks no driver."""
    if not any(Path(path).exists() for path in _DRIVER):
        return "there is no NVIDIA GPU in this machine"
    if importlib.util.find_spec("pynvml") is None:
        return "GPUs are read with the extra gpu: pip install 'inferometer[gpu]'"
    return ""


class GpuSampler:
    """All GPUs of the machine. `read()`: for each its source (`gpu-0`, ...) and its gauges.

    Gauges: busy_ratio (share of the last moment in which anything ran on it), memory_used_bytes, memory_bytes, power_w,
    energy_j (cumulative), temperature_c.
    """

    def __init__(self) -> None:
        """Raises: NoGpu."""
        if reason := why_not():
            raise NoGpu(reason)
        self._nvml: Any = importlib.import_module("pynvml")
        try:
            self._nvml.nvmlInit()
            n_gpus = self._nvml.nvmlDeviceGetCount()
            self._gpus = [self._nvml.nvmlDeviceGetHandleByIndex(i) for i in range(n_gpus)]
            self.names = tuple(_text(self._nvml.nvmlDeviceGetName(gpu)) for gpu in self._gpus)
        except self._nvml.NVMLError as error:
            raise NoGpu(f"no NVIDIA GPU ({error})") from error
        if not self._gpus:
            raise NoGpu("no NVIDIA GPU")

    def read(self) -> list[tuple[str, Gauges]]:
        return [(f"gpu-{i}", self._gauges(gpu)) for i, gpu in enumerate(self._gpus)]

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    def _gauges(self, gpu: Any) -> Gauges:
        nvml = self._nvml
        asked: tuple[tuple[str, Callable[[], float]], ...] = (
            ("busy_ratio", lambda: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100),
            ("memory_used_bytes", lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).used),
            ("memory_bytes", lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total),
            ("power_w", lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1e3),
            ("energy_j", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3),
            ("temperature_c", lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),
        )
        gauges: Gauges = []
        for name, ask in asked:
            try:
                gauges.append((name, float(ask())))
            except nvml.NVMLError:  # this model, or a guest of this machine, does not tell
                continue
        return gauges


def _text(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)

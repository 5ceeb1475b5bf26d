# SPDX-License-Identifier: Apache-2.0
"""What the machine's sensors show while nothing is asked of it: for comparison, never subtracted."""

from __future__ import annotations

from inferometer.clock import Clock, sleep_s
from inferometer.host.gpu import GpuSampler, NoGpu
from inferometer.host.rapl import Rapl
from inferometer.units import NS_PER_S

_SPAN_S = 3.0


def idle_power_w() -> tuple[float | None, str]:
    """Watts over some seconds, of processors, their memory and GPUs; None, and why."""
    rapl, clock = Rapl(), Clock()
    try:
        gpus = GpuSampler()
    except NoGpu as no_gpu:
        if rapl.why_not:
            return None, f"{rapl.why_not}; {no_gpu}"
        gpus = None
    try:
        before, t_start_ns = _joules(rapl, gpus), clock.now_ns()
        sleep_s(_SPAN_S)
        after = _joules(rapl, gpus)
        return (after - before) * NS_PER_S / max(clock.now_ns() - t_start_ns, 1), ""
    finally:
        if gpus is not None:
            gpus.close()


def _joules(rapl: Rapl, gpus: GpuSampler | None) -> float:
    read = list(rapl.read())
    if gpus is not None:
        read += [(name, value) for _, gauges in gpus.read() for name, value in gauges if name == "energy_j"]
    return sum(value for _, value in read)

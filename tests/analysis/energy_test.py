# SPDX-License-Identifier: Apache-2.0
"""Energy per token and request, from counters and from power, and when there is none."""

from __future__ import annotations

import pytest
from traces import S, make_trace, stream

from inferometer.analysis.energy import energy
from inferometer.stats import Missing

N_S = 20


def run(*gauges, every_s=1, n_s=N_S):
    """Ten requests a second of ten tokens each; `gauges`: (source, gauge, value at t seconds)."""
    rows = [stream(due=int(k * S / 10), ttft=S // 100, gap=S // 1000) for k in range(10 * n_s)]
    stops = range(0, n_s + 1, every_s)
    samples = [(t * S, source, gauge, value(t)) for t in stops for source, gauge, value in gauges]
    return make_trace(*rows, samples=samples, windows=[{"trial": 0, "t_start_ns": 0, "t_end_ns": n_s * S}])


def test_a_counter_of_a_gpu_and_of_a_processor_are_added():
    trace = run(("gpu-0", "energy_j", lambda t: 1000 + 300 * t), ("host", "package_energy_j", lambda t: 100 * t))
    found = energy(trace, "")
    assert found.sensor == "gpu-0 and processor"
    assert found.power.value == pytest.approx(400)
    assert found.per_request.value == pytest.approx(40, rel=0.02)
    assert found.per_output_token.value == pytest.approx(4, rel=0.02)


def test_power_is_integrated_where_nothing_counts():
    found = energy(run(("gpu-0", "power_w", lambda t: 200.0 + 10 * t)), "")
    assert found.power.value == pytest.approx(300)


def test_no_sensor_too_few_readings_or_too_short_a_window_is_no_measurement():
    assert energy(run(), "there is none").per_request == Missing("there is none", 0, "J/request")
    counter = ("gpu-0", "energy_j", lambda t: 300.0 * t)
    assert "apart" in energy(run(counter, every_s=5), "").power.reason
    assert "needs a window of 10 s" in energy(run(counter, n_s=8), "").power.reason

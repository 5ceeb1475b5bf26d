# SPDX-License-Identifier: Apache-2.0
"""Ceilings for `explain cost`, of one device each: out of the table of devices, and out of a benchmark's repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferometer.analysis.cost import Ceiling, sheet
from inferometer.analysis.cost_findings import MEASURED, SHEET
from inferometer.analysis.number import Number, number_of
from inferometer.errors import UsageError
from inferometer.host.ceilings import Rates
from inferometer.host.description import devices
from inferometer.model import roofline
from inferometer.model.devices import Device, find
from inferometer.model.formats import WeightFormat
from inferometer.stats import quantile_estimate


def of_card(name: str) -> Device | None:
    """The row of the table for a card as its driver calls it: `NVIDIA H200`."""
    try:
        return find(name.replace("NVIDIA", "").strip(), devices())[0]
    except UsageError:
        return None


def each_of(n: int, what: str) -> str:
    return what if n == 1 else f"each of {n}: {what}"


def of_sheet(device: Device, weights: WeightFormat, where: str) -> Ceiling:
    roof = roofline.ceilings(device, weights)
    return Ceiling(
        SHEET,
        where,
        roof.computed_in,
        sheet(roof.flops_per_s, "FLOP/s", device.name),
        sheet(roof.bytes_per_s, "B/s", device.name),
    )


def of_rates(rates: Rates, where: str) -> Ceiling:
    def median(values: Sequence[float], unit: str) -> Number:
        return number_of(quantile_estimate(np.sort(values), 0.5, unit=unit, of="repeats"))

    near = rates.read_near_bytes_per_s
    return Ceiling(
        MEASURED,
        where,
        rates.format,
        median(rates.flops_per_s, "FLOP/s"),
        median(rates.read_bytes_per_s, "B/s"),
        median(near, "B/s") if near else None,
        rates.near_bytes,
    )

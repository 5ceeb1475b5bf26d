# SPDX-License-Identifier: Apache-2.0
"""Gauges out of the table of samples.

Rule: what was not sampled is None or empty, never 0. Where several processes drive, `client` is also each `client-1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from inferometer.metrics.rows import Mask
from inferometer.metrics.window import Window
from inferometer.records import Array
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

IntArray = npt.NDArray[np.int64]


def counted(samples: Array, source: str, gauge: str, windows: Sequence[Window]) -> float | None:
    """By how much a cumulative gauge rose inside the windows, linear between samples; None where it was not sampled.

    Of several workers (`client-1`, ...) it is the sum.
    """
    rises = []
    for name in sources_of(samples, source):
        t_ns, values = series(samples, name, gauge)
        if len(t_ns) >= 2:
            ends = [np.interp([w.t_start_ns, w.t_end_ns], t_ns, values) for w in windows]
            rises.append(float(sum(end - start for start, end in ends)))
    return sum(rises) if rises else None


def of_worst(
    samples: Array, gauge: str, windows: Sequence[Window], *, per: str | None = None, is_low_bad: bool = False
) -> tuple[float | None, float | None]:
    """(`counted` of a gauge, of the gauge `per`) for the worst of the driving processes; a sum or a mean would hide it.

    Without `per` the second is 1. (None, None) where it was not sampled.
    """
    found = []
    for name in sources_of(samples, "client"):
        part = counted(samples, name, gauge, windows)
        whole = 1.0 if per is None else counted(samples, name, per, windows)
        if part is not None and whole:
            found.append((part / whole, part, whole))
    if not found:
        return None, None
    _, part, whole = min(found) if is_low_bad else max(found)
    return part, whole


def sources_of(samples: Array, source: str) -> list[str]:
    """The source itself and, where several processes drive, those of the others."""
    names = {name for name, _ in _rows_of(samples)}
    return sorted(name for name in names if name == source or name.startswith(f"{source}-"))


def series(samples: Array, source: str, gauge: str) -> tuple[FloatArray, FloatArray]:
    """Instants (ns) and values of a gauge. Shapes: float64[n] each."""
    rows = _rows_of(samples).get((source, gauge), _NONE)
    return np.asarray(samples["t_ns"])[rows].astype(np.float64), np.asarray(samples["value"])[rows]


class Samples(np.ndarray[Any, Any]):
    """A table of samples that remembers where the rows of each gauge are: a report asks for a hundred of them."""

    @cached_property
    def rows_of(self) -> dict[tuple[str, str], IntArray]:
        """By source and gauge, in their order."""
        found: dict[tuple[str, str], list[int]] = {}
        for i, key in enumerate(zip(self["source"].tolist(), self["gauge"].tolist(), strict=True)):
            found.setdefault(key, []).append(i)
        return {key: np.array(rows) for key, rows in found.items()}


def _rows_of(samples: Array) -> dict[tuple[str, str], IntArray]:
    return (samples if isinstance(samples, Samples) else samples.view(Samples)).rows_of


_NONE = np.zeros(0, np.int64)


def within(samples: Array, source: str, gauge: str, windows: Sequence[Window]) -> FloatArray:
    """What a gauge that is not cumulative showed inside the windows, or up to a second after. Of all workers."""
    found = [np.zeros(0)]
    for name in sources_of(samples, source):
        t_ns, values = series(samples, name, gauge)
        inside: Mask = np.zeros(len(t_ns), bool)
        for window in windows:
            inside |= (t_ns > window.t_start_ns) & (t_ns <= window.t_end_ns + NS_PER_S)
        found.append(values[inside])
    return np.concatenate(found)


def last(samples: Array, source: str, gauge: str) -> float | None:
    """The last value, over all workers in sum; None where it was not sampled."""
    found = [values[-1] for name in sources_of(samples, source) if len(values := series(samples, name, gauge)[1])]
    return float(sum(found)) if found else None

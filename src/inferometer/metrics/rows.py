# SPDX-License-Identifier: Apache-2.0
"""Which requests count, and as what.

Rule: every request that became due in the main phase is counted exactly once: as a success, as a failure, or as
unfinished (the records end, or the user stopped, before its end was known).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferometer.kinds import Outcome, Phase
from inferometer.records import NEVER, Array, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_S

Mask = npt.NDArray[np.bool_]
UNFINISHED = (Outcome.CENSORED, Outcome.CANCELLED, Outcome.NOT_SENT)


def is_counted(requests: Array) -> Mask:
    """Main phase, and due: a request that never became due is nobody's failure."""
    return np.asarray((requests["phase"] == Phase.MAIN) & (requests["t_due_ns"] != NEVER))


def is_ok(requests: Array) -> Mask:
    return np.asarray(requests["outcome"] == Outcome.OK)


def is_failed(requests: Array) -> Mask:
    """Ended badly: neither a success nor unfinished."""
    return np.asarray(~is_ok(requests) & ~np.isin(requests["outcome"], UNFINISHED))


def in_due_order(requests: Array) -> npt.NDArray[np.intp]:
    """Row numbers in the order in which the requests became due: the natural order of a series of them."""
    return np.lexsort((requests["id"], requests["t_due_ns"]))


def elapsed_s(requests: Array, earlier: str, later: str) -> FloatArray:
    """Seconds from one instant to another per request; NaN where either did not come. Shapes: float64[n_requests]."""
    known = (requests[earlier] != NEVER) & (requests[later] != NEVER)
    return np.where(known, (requests[later] - requests[earlier]) / NS_PER_S, np.nan)


def told(requests: Array, name: str) -> FloatArray:
    """A count as float64, NaN where nobody told it."""
    return np.where(requests[name] >= 0, requests[name], np.nan).astype(np.float64)


def plan_of(trace: Trace) -> dict[str, Any]:
    """The plan's facts, empty where the trace has none (hand-made, simulated)."""
    return dict(trace.meta.get("plan") or {})

# SPDX-License-Identifier: Apache-2.0
"""Presets of limits, by name, each with its source: slo_presets.json, which says where its numbers come from."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from inferometer.errors import UsageError
from inferometer.metrics.slo import Limits, parse_limits

ATTAINMENT = 0.95  # share of requests that must meet all limits where nobody says otherwise


@dataclass(frozen=True, slots=True)
class Objective:
    """Limits on every request, and the share that must meet them all. `preset`, `source`: "" if written out."""

    limits: Limits
    attainment: float
    preset: str = ""
    source: str = ""


@cache
def presets() -> dict[str, Objective]:
    """All there are, by name."""
    data = json.loads(resources.files("inferometer.metrics").joinpath("slo_presets.json").read_text(encoding="utf-8"))
    return {
        name: Objective(parse_limits(told["slo"]), told["attainment"], name, told["source"])
        for name, told in data["presets"].items()
    }


def parse_objective(slo: str, attainment: float | None) -> Objective:
    """A preset by its name, or limits as `--slo` has them, all on every request.

    Raises: UsageError.
    """
    found = presets().get(slo.strip().lower())
    if found is None:
        if not any(sign in slo for sign in "<>"):
            close = difflib.get_close_matches(slo.strip().lower(), presets(), n=3, cutoff=0.3)
            raise UsageError(
                f"--slo {slo!r} is neither a limit nor a preset",
                f"did you mean {', '.join(close)}?" if close else f"choose {', '.join(presets())}, or write ttft<500ms",
            )
        found = Objective(parse_limits(slo), ATTAINMENT)
    if found.limits.per_run:
        text = found.limits.per_run[0].text
        raise UsageError(
            f"{text!r} is a limit on a run as a whole, and a load is searched that meets limits on every request",
            "write for example ttft<500ms and the share that must meet it: --attainment 0.99",
        )
    if not found.limits.per_request:
        raise UsageError("--slo names no limit", "write for example ttft<500ms,tpot<50ms")
    share = found.attainment if attainment is None else attainment
    if not 0.5 <= share <= 0.999:
        raise UsageError(f"--attainment {share:g} cannot be shown", "give a share from 0.5 to 0.999, such as 0.95")
    return Objective(found.limits, share, found.preset, found.source)

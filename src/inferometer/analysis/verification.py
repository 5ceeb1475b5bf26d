# SPDX-License-Identifier: Apache-2.0
"""How a remedy is put to the proof: under which load what it is about shows, and in which figure.

Rule: a load is the one at which the fault was found, never one at which the remedy looks best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferometer.analysis.compare import Row as Compared
from inferometer.analysis.explanation import Verdict
from inferometer.analysis.finding import Challenge, Finding
from inferometer.analysis.scale import ScaleExamination
from inferometer.analysis.side import Quantity

USUAL_LOAD = 8  # in flight, where the examination names none
_OUTPUT = Quantity("output_throughput_tokens_per_s", "value")
_TTFT = Quantity("ttft_s", "p50")
_TPOT = Quantity("tpot_s", "p50")
# What a challenge is about, where its finding says nothing more: the figure a remedy has to move.
_USUAL: dict[Challenge, Quantity] = {"latency": _TPOT, "cost": _OUTPUT, "memory": _OUTPUT, "scale": _OUTPUT}


@dataclass(frozen=True, slots=True)
class Trial:
    """`concurrency` in flight, with other fields of the load; `quantity`: what is compared."""

    quantity: Quantity
    concurrency: int
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def load(self) -> str:
        lengths = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.fields.items())
        return f"{self.concurrency} in flight" + (f", {lengths}" if lengths else "")


def trial_of(finding: Finding, results: Mapping[Challenge, Any]) -> Trial | None:
    """None where no run of a load shows it: what a model answers, and how much it takes in, is examined anew."""
    quantity = _USUAL.get(finding.challenge)
    if quantity is None:
        return None
    scale = results.get("scale")
    known = scale if isinstance(scale, ScaleExamination) and scale.points else None
    if finding.code == "prefix_not_reused" and known is not None and known.prefix is not None:
        prefix = known.prefix
        return Trial(_TTFT, 1, {"input_tokens": str(prefix.n_tokens), "shared_prefix": prefix.n_shared})
    if finding.challenge == "scale" and known is not None:
        return Trial(quantity, int(known.points[-1].load))
    return Trial(quantity, int(known.plateau_load) if known is not None and known.plateau_load else USUAL_LOAD)


def verdict_of(row: Compared) -> Verdict:
    words: dict[str, Verdict] = {"better": "helped", "worse": "hurt", "same": "changed nothing"}
    return words.get(row.verdict, "undecided")

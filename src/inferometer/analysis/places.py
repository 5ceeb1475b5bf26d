# SPDX-License-Identifier: Apache-2.0
"""Where the answer might be another one: at each load, with other lengths, within other limits.

Rule: a lead counts from the tolerance on. It is shown where the interval says so, or where the preferred one was shown
to miss the limits and the other to keep them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inferometer.analysis.contest import Gap, Sheet, Terms, Where, alpha_of, stand
from inferometer.analysis.turn import LOOSE, TIGHT


@dataclass(frozen=True, slots=True)
class Lead:
    """Who is ahead of the preferred one at a place. `gap`: None where that one is not within the limits there."""

    candidate: int
    gap: Gap | None
    is_shown: bool


def places_of(terms: Terms) -> list[Where]:
    """All that are looked at: loads of the workload that decides, the other workloads, half and twice the limits."""
    loads = [Where(0, load) for load in terms.loads] if len(terms.loads) > 1 else []
    lengths = [Where(workload) for workload in range(1, terms.n_workloads)]
    return [*loads, *lengths, Where(0, None, TIGHT), Where(0, None, LOOSE)]


def leads(sheet: Sheet, where: Where, preferred: int) -> list[Lead]:
    """Who seems ahead there by more than the tolerance, the furthest first."""
    terms = sheet.terms
    alpha = alpha_of(terms.n_candidates, len(places_of(terms)))
    standing = stand(sheet, where=where, leader=preferred, alpha=alpha)
    if preferred in standing.missing:
        others = [other for other in range(terms.n_candidates) if other not in standing.missing]
        is_beyond = sheet.is_beyond(preferred, where, alpha)
        return [Lead(other, None, is_beyond and sheet.is_safe(other, where, alpha)) for other in others]
    ahead = [(other, gap) for other, gap in standing.gaps.items() if gap.mean > math.log1p(terms.tolerance)]
    found = [Lead(other, gap, gap.word(terms.tolerance) == "better") for other, gap in ahead]
    return sorted(found, key=lambda lead: -(lead.gap.mean if lead.gap else 0.0))


def flip_of(found: Sequence[Lead]) -> Lead | None:
    """The one that was shown to be the furthest ahead."""
    return next((lead for lead in found if lead.is_shown), None)

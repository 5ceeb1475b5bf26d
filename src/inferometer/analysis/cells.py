# SPDX-License-Identifier: Apache-2.0
"""The cells of a choice, workload by load: which of them a run was, and what two candidates differ in that they may
not.

Rule: runs are held against each other within a cell, for two loads or two lengths are different plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferometer.analysis.choice import LoadKind, Workload
from inferometer.analysis.comparable import Difference, differences
from inferometer.analysis.side import Member, Side

Cell = tuple[int, float]  # number of the workload, and load
Cells = Mapping[Cell, Sequence[Member]]  # runs of one candidate
# What runs measured elsewhere may differ in from those here; lengths, load and limits of time they may not.
_MAY_DIFFER = ("duration_s", "warmup_s", "n_warmup", "n_requests", "seed", "requests")


def cell_of(member: Member, kind: LoadKind, loads: Sequence[float], workloads: Sequence[Workload]) -> Cell | None:
    """Which of these a run was, None if it was none of them."""
    plan = member.summary.plan
    mode, name = ("open", "rate_per_s") if kind == "rate" else ("closed", "concurrency")
    load = plan.get(name)
    if plan.get("mode") != mode or load is None or float(load) not in loads:
        return None
    told = (plan.get("input_tokens"), plan.get("output_tokens"), plan.get("shared_prefix") or 0)
    for i, workload in enumerate(workloads):
        if told == (workload.input_tokens, workload.output_tokens, workload.shared_prefix):
            return i, float(load)
    return None


def unlike(a: Cells, b: Cells, ignored: Sequence[str]) -> list[Difference]:
    """What differs that should not: model, definitions, and in each cell that both have lengths as they came out and
    what was asked."""
    both = [cell for cell in a if cell in b]
    kinds = ["model", "lengths", "definitions", "plan"] if both else ["model", "definitions"]
    pairs = [(a[cell], b[cell]) for cell in both] or [(all_of(a), all_of(b))]
    found = [each for mine, other in pairs for each in differences([_side("A", mine), _side("B", other)])]
    return _kept(found, kinds, ignored)


def mixed(title: str, cells: Cells, ignored: Sequence[str]) -> list[Difference]:
    """What the runs of one candidate differ in, so that they are several: engine, model, machine, definitions, and in
    each cell what was asked."""
    found = _kept(differences([_side(title, all_of(cells))]), ["engine", "model", "host", "definitions"], ignored)
    plans = [each for members in cells.values() for each in differences([_side(title, members)])]
    return found + _kept(plans, ["plan"], ignored)


def _kept(found: Sequence[Difference], kinds: Sequence[str], ignored: Sequence[str]) -> list[Difference]:
    kept = [each for each in found if each.kind in kinds and each.kind not in ignored]
    return list(dict.fromkeys(each for each in kept if each.text.split(" ")[0] not in _MAY_DIFFER))


def all_of(cells: Cells) -> list[Member]:
    return [member for members in cells.values() for member in members]


def _side(title: str, members: Sequence[Member]) -> Side:
    return Side(title, tuple(members))

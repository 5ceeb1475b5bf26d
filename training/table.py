# SPDX-License-Identifier: Apache-2.0
"""Accuracy as Markdown: a row for each task and length, a column for each engine, shares in percent with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from inferometer.stats.estimate import Estimate, Missing
from training.verdicts import TOLERANCE, Cell, Loss, Parity

Share = Estimate | Missing


def percent(share: Share) -> str:
    """99.4 [98.3, 99.8]"""
    if isinstance(share, Missing):
        return share.reason
    return f"{100 * share.value:.1f} [{100 * share.lo:.1f}, {100 * share.hi:.1f}]"


def accuracy_table(rows: Mapping[Cell, Mapping[str, Share]], n_items: int) -> str:
    """Baselines and engines in the order in which the first row has them; `n_items` questions in each cell."""
    columns = list(next(iter(rows.values())))
    head = ["task", "prompt tokens", "n", *columns]
    return _table(
        head,
        (
            [str(cell.task), str(cell.n_tokens or "any"), str(n_items), *(percent(row[name]) for name in columns)]
            for cell, row in rows.items()
        ),
    )


def loss_table(losses: Mapping[str, Loss], before: str) -> str:
    head = ["format", "n", f"right in {before} only", "right in this only", "of those that differ, lost (%)"]
    return _table(
        head,
        ([name, str(a.n), str(a.n_lost), str(a.n_won), percent(a.share_lost)] for name, a in losses.items()),
    )


def parity_table(found: Mapping[str, Parity]) -> str:
    head = ["format", "prompts", "same greedy answer", "tokens", "log-probability off by at most", "p99"]
    head += [f"off by more than {TOLERANCE:g}"]
    return _table(
        head,
        (
            [
                name,
                str(p.n_prompts),
                str(p.n_same),
                str(p.n_tokens),
                f"{p.largest:.4f}",
                f"{p.p99:.4f}",
                str(p.n_beyond),
            ]
            for name, p in found.items()
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

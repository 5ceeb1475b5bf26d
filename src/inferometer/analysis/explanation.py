# SPDX-License-Identifier: Apache-2.0
"""What `explain TARGET` came to: a row for each challenge, worst first, and what became of remedies that were tried.

`Explanation` is the file `explain.json`; what each row was made of lies in a folder of its name beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from inferometer.analysis.finding import CHALLENGES, Challenge, Finding, Row, ranked
from inferometer.analysis.number import Number, number_of
from inferometer.stats import Missing

SCHEMA = "inferometer/explain/1"
FILE, PAGE = "explain.json", "explain.html"
Verdict = Literal["helped", "hurt", "changed nothing", "undecided"]


class Verified(msgspec.Struct, frozen=True):
    """A remedy that was tried: the server as examined (A) against the same with `settings` (B), started anew for each
    of `n_rounds` rounds. `quantity` under `load` is what is compared; `ratio`: B over A. `n_to_settle`: rounds that
    would decide it, None where it is decided or nobody can tell. `problem`: why there is no answer, "": there is."""

    code: str
    challenge: Challenge
    settings: tuple[str, ...]
    quantity: str
    load: str
    before: Number
    after: Number
    ratio: Number
    verdict: Verdict
    n_rounds: int
    n_to_settle: int | None = None
    problem: str = ""
    folder: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """`rows`: one for each challenge, worst first. `folders`: of the challenges that were examined. `stopped`: why it
    ended early, "": it did not."""

    rows: list[Row]
    folders: dict[str, str]
    budget_s: float
    seconds: float
    n_requests: int
    created: str
    engine: dict[str, Any]
    verified: list[Verified] = []
    stopped: str = ""
    schema: str = SCHEMA


def not_examined(challenge: Challenge, reason: str) -> Row:
    """The row of a challenge that nothing is known of."""
    return Row(challenge, "not examined", number_of(Missing(reason, 0, "")), not_measured=[reason])


def rows_of(found: Mapping[Challenge, Row], *, reason: str) -> list[Row]:
    """One for each challenge, worst first; `reason`: why those that are not there were not examined."""
    return ranked([found.get(challenge) or not_examined(challenge, reason) for challenge in CHALLENGES])


def to_verify(rows: Sequence[Row]) -> Finding | None:
    """The worst finding that a run shows, and whose remedy is a setting that we can start the server with."""
    found = (finding for row in rows for finding in row.findings if finding.trial is not None)
    return next((finding for finding in found if finding.remedy is not None and finding.remedy.settings), None)

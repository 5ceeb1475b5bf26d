# SPDX-License-Identifier: Apache-2.0
"""From words on the command line to sides, from sides to a comparison: what `compare`, `ab` and `gate` share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inferometer import archive
from inferometer.analysis.comparable import KINDS, Difference, differences
from inferometer.analysis.compare import HEADLINE, Comparison, TooFew, can_pair, compare, family_of
from inferometer.analysis.screen import Screening, screen
from inferometer.analysis.side import Member, Quantity, Side, parse_quantity
from inferometer.cli.options import wants_colour, width
from inferometer.cli.output import put
from inferometer.errors import RunError, UsageError
from inferometer.report import comparison as text
from inferometer.report import comparison_json, comparison_markdown, comparison_table, html
from inferometer.report import screening as screening_text
from inferometer.stats.trials import MIN_PAIRED, n_to_resolve

SEED = 0  # of the labellings drawn where there are too many: the same runs give the same answer
MAX_SHOWN = 3  # differences of one kind that are named


def side_of(word: str, parent: str) -> Side:
    """Every run that a word means, summarised.

    Raises: UsageError if it means none, FormatError if one cannot be read, RunError if one measured nothing.
    """
    return Side(
        word, tuple(Member.of(str(run.path), run.trace(is_whole=False)) for run in archive.runs_of(word, parent))
    )


def kinds_of(text: str | None) -> tuple[str, ...]:
    """What is to be ignored. Raises: UsageError for a word that means nothing."""
    kinds = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"--ignore {kind!r} is not known", f"choose from {', '.join(KINDS)}")
    return kinds


def quantities_of(text: str | None) -> tuple[Quantity, ...]:
    """Raises: UsageError with the nearest known name."""
    return tuple(parse_quantity(word) for word in (text or "").split(",") if word.strip())


def refuse_incomparable(sides: Sequence[Side], ignored: Sequence[str]) -> tuple[str, ...]:
    """The differences that were to be ignored, in words. Raises: RunError for invalid runs, UsageError for the rest."""
    found = differences(sides)
    told = tuple(_in_words(found, kind) for kind in ignored if any(each.kind == kind for each in found))
    left = [each for each in found if each.kind not in ignored]
    if left:
        kinds = list(dict.fromkeys(each.kind for each in left))
        shown = "; ".join(_in_words(left, kind) for kind in kinds)
        error = RunError if kinds == ["validity"] else UsageError
        raise error(
            f"these runs cannot be compared: {shown}",
            f"measure again, or, if that is what you want to compare, --ignore {','.join([*ignored, *kinds])}",
        )
    return told


def _in_words(found: Sequence[Difference], kind: str) -> str:
    """`plan: concurrency 2 and 4, seed 0 and 1`: all differences of one kind, the first few by name."""
    texts = [each.text for each in found if each.kind == kind]
    more = f", and {len(texts) - MAX_SHOWN} more" if len(texts) > MAX_SHOWN else ""
    return f"{kind}: {', '.join(texts[:MAX_SHOWN])}{more}"


def compared(
    sides: Sequence[Side],
    *,
    ignored: Sequence[str],
    quantities: Sequence[Quantity],
    tolerance: float,
) -> Comparison:
    """Raises: UsageError for what cannot be compared or resolved, RunError for invalid runs."""
    _refuse_twice(sides)
    told = refuse_incomparable(sides, ignored)
    family = family_of(sides, quantities)
    rng = np.random.default_rng(SEED)
    found = compare(sides, family, rng=rng, is_paired=can_pair(sides), tolerance=tolerance, ignored=told)
    if isinstance(found, TooFew):
        raise UsageError(
            f"{' and '.join(map(str, found.n_trials))} trials cannot resolve {found.n_tests} metrics: no result could "
            f"be told from chance; {found.n_needed} {'pairs' if found.is_paired else 'trials a side'} can",
            "measure more (run --repeats, or ab), or ask for fewer metrics (--metrics; of a gate, fewer conditions)",
        )
    return found


def _refuse_twice(sides: Sequence[Side]) -> None:
    """Raises: UsageError if one run stands on two sides."""
    paths = [str(Path(member.path).resolve()) for side in sides for member in side.members]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is there twice", "give every run once, on one side")


def refuse_too_few(n_rounds: int, quantities: Sequence[Quantity]) -> None:
    """Before anything is measured. Raises: UsageError with the number needed."""
    n_tests = len(quantities or HEADLINE)
    needed = n_to_resolve(n_tests, is_paired=n_rounds >= MIN_PAIRED)
    if n_rounds < needed:
        raise UsageError(
            f"{n_rounds} rounds cannot resolve {n_tests} metrics: no result could be told from chance",
            f"give --repeats {needed} or more, or fewer --metrics",
        )


def screened(found: Comparison, quantities: Sequence[Quantity]) -> Screening:
    """What was compared, once more in all other metrics."""
    rng = np.random.default_rng(SEED)
    return screen(found.sides, family_of(found.sides, quantities), rng=rng, is_paired=found.is_paired)


def print_comparison(
    found: Comparison,
    format: str,
    *,
    next_command: str = "",
    out: str | None = None,
    screening: Screening | None = None,
) -> None:
    """On stdout, or into the file `out`. Raises: RunError if it cannot be written; UsageError for a screening in a
    format that has no room for one."""
    match format:
        case "json":
            document = comparison_json.to_json(found, screening).decode()
        case "markdown":
            document = comparison_markdown.render(found)
            if screening is not None:
                document += f"\n{screening_text.markdown(screening)}"
        case "csv" | "html" if screening is not None:
            raise UsageError(f"--screen has no place in {format}", "take --format text, markdown or json")
        case "csv":
            document = comparison_table.to_csv(found)
        case "html":
            document = html.comparison(found)
        case _:
            is_colour = out is None and wants_colour(sys.stdout)
            document = text.render(found, width=width(), is_colour=is_colour, next_command=next_command)
            if screening is not None:
                document += f"\n{screening_text.text(screening, width=width())}"
    put(document, out)

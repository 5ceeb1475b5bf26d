# SPDX-License-Identifier: Apache-2.0
"""The text in which servers publish their metrics (Prometheus text format 0.0.4, and what OpenMetrics adds to it).

Rule 1: of the lines about the names wanted, each is read strictly: a line that is none is an error, never left out.
Rule 2: nothing else is looked into: a page has hundreds of series, and a reader wants a dozen, many times.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

_LABELS = r'\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}'
_LINE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)({_LABELS})?[ \t]+([^ \t]+)(?:[ \t]+-?[0-9.]+)?(?:[ \t]+#.*)?")
_LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\["\\n])*)"[ \t]*(?:,|(?=\Z))')
_NAME_END = re.compile(r"[{ \t]")
_ESCAPE = re.compile(r'\\(["\\n])')


class MetricsError(Exception):
    """A page of metrics that is none. `str(error)` is one line."""


@dataclass(frozen=True, slots=True)
class Series:
    """One value of a metric: there is one for each combination of its labels."""

    value: float
    labels: dict[str, str] = field(default_factory=dict)


Page = dict[str, list[Series]]  # by the name as it is written, `_bucket`, `_sum` and `_total` included


def read(text: str, wanted: Collection[str]) -> Page:
    """All series of the names wanted; a name that does not occur is not in it. Raises: MetricsError."""
    page: Page = {}
    for line in text.splitlines():
        if not line or line[0] == "#":
            continue
        name = _NAME_END.split(line, maxsplit=1)[0]
        if name in wanted:
            page.setdefault(name, []).append(_series(line))
    return page


def _series(line: str) -> Series:
    match = _LINE.fullmatch(line.rstrip())
    if match is None:
        raise MetricsError(f"not a line of Prometheus text: {line[:80]!r}")
    _, labels, value = match.groups()
    try:
        return Series(float(value), _labels(labels[1:-1]) if labels else {})
    except ValueError as error:
        raise MetricsError(f"not a number in Prometheus text: {line[:80]!r}") from error


def _labels(text: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        match = _LABEL.match(text, at)
        if match is None:
            raise MetricsError(f"not the labels of Prometheus text: {text[:80]!r}")
        labels[match[1]] = _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], match[2])
        at = match.end()
    return labels

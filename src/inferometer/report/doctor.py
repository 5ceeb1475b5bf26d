# SPDX-License-Identifier: Apache-2.0
"""What `doctor` found, as text and as JSON: whether a run on this machine could be trusted, and what would spoil it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec

from inferometer.report.layout import painted, wrapped

SCHEMA = "inferometer/doctor/1"
INDENT = 10

_MEANING = {
    "valid": "nothing here would spoil a run",
    "suspect": "a run here works, but read its warnings",
    "invalid": "a run here cannot be trusted before this is mended",
}
_LEVELS = tuple(_MEANING)  # from harmless to worst


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `level`: what it makes of a run; `text` holds the numbers; `remedy` may be empty."""

    code: str
    level: str
    text: str
    remedy: str = ""


def verdict_of(checks: Sequence[Check]) -> str:
    """The worst level among the checks."""
    return max((check.level for check in checks), key=_LEVELS.index, default="valid")


def render(checks: Sequence[Check], *, width: int = 100, is_colour: bool = False) -> str:
    """The verdict first, then each check: what spoils a run on top, each with its remedy."""
    level = verdict_of(checks)
    lines = [painted(level.upper(), level, is_colour=is_colour) + f"  {_MEANING[level]}", ""]
    indent = 2 + max((len(check.code) for check in checks), default=0) + 2 + INDENT
    for check in sorted(checks, key=lambda check: -_LEVELS.index(check.level)):
        word = "ok" if check.level == "valid" else check.level
        label = f"  {word.ljust(INDENT - 2)}{check.code}"
        lines += wrapped(label, check.text, width=width, indent=indent)
        if check.remedy and check.level != "valid":
            lines += wrapped("", f"-> {check.remedy}", width=width, indent=indent)
    return "\n".join(lines) + "\n"


def to_json(checks: Sequence[Check]) -> bytes:
    """`{"schema", "verdict", "checks": [{"code", "level", "text", "remedy"}]}`, worst or not, in the order given."""
    document = {"schema": SCHEMA, "verdict": verdict_of(checks), "checks": [asdict(check) for check in checks]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"

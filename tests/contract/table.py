# SPDX-License-Identifier: Apache-2.0
"""What each engine did in its last written run of the contract: kept as JSON, shown as one table in the documentation.

Rule: a column is written by a run of that engine's tests with --update, whole; a run of some of its tests writes none.
"""

from __future__ import annotations

import json
from pathlib import Path

KEPT = Path(__file__).with_name("found.json")
PAGE, MARKER = "evidence/engines.md", "contract"
_TITLES = {"llamacpp": "llama.cpp", "vllm": "vLLM"}
_NEWER = "not asked in that run"  # of a row that is newer than it

# The rows of the table in their order: each is written by one test.
ROWS = (
    "date",
    "machine",
    "version",
    "model",
    "ready",
    "memory at most",
    "recognised by",
    "context and slots",
    "chat",
    "completions",
    "native",
    "prompt longer than the context",
    "prompt that fits, with an answer that does not",
    "the same prompt again, and after its cache was emptied",
    "client leaves in mid-answer",
    "greedy answers as llama.cpp with F16 weights",
    "stop",
)


def keep(engine: str, found: dict[str, str]) -> None:
    """Raises: ValueError if it is not the whole contract."""
    if set(found) != set(ROWS):
        raise ValueError(f"not written: {engine}, {', '.join(set(found) ^ set(ROWS))}")
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    kept[engine] = {row: found[row] for row in ROWS}
    KEPT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def rendered() -> str:
    """The table in Markdown: a row for what was looked at, a column for each engine."""
    columns = json.loads(KEPT.read_text(encoding="utf-8"))
    kept = {engine: columns[engine] for engine in _TITLES}
    lines = ["| | " + " | ".join(_TITLES[engine] for engine in kept) + " |", "|---" * (len(kept) + 1) + "|"]
    lines += ["| " + " | ".join([row, *(found.get(row, _NEWER) for found in kept.values())]) + " |" for row in ROWS]
    return "\n".join(lines) + "\n"

# SPDX-License-Identifier: Apache-2.0
"""Your own grounded questions, from a file: one JSON object a line.

    {"context": "The lease ends in May.", "question": "When does the lease end?", "answer": "May"}
    {"context": "The lease ends in May.", "question": "Who signed it?", "answer": null}

`answer`: the right one, or a list of spellings that are all right; null: the text does not tell, "unknown" is right.
`instruction`: how to answer, in place of ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferometer.errors import UsageError
from inferometer.tasks.passage import UNKNOWN_ANSWER

INSTRUCTION = f"Answer from the text alone, in as few words as it takes. Say {UNKNOWN_ANSWER} if it does not tell."
_KEYS = ("context", "question", "answer", "instruction")
_REMEDY = 'write lines like {"context": "...", "question": "...", "answer": "..."}; null where the text does not tell'


@dataclass(frozen=True, slots=True)
class OwnQuestion:
    """`answers`: all that is right; none: the text does not tell."""

    context: str
    question: str
    answers: tuple[str, ...]
    instruction: str = INSTRUCTION

    @property
    def prompt(self) -> str:
        return "\n".join((self.instruction, self.context, self.question))


def read_own(path: Path) -> tuple[OwnQuestion, ...]:
    """Raises: UsageError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"cannot read {path}: {told}", "give the path of a file of JSON lines") from error
    found = tuple(_question(line, f"{path}, line {i}") for i, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise UsageError(f"{path} holds no question", _REMEDY)
    return found


def _question(line: str, where: str) -> OwnQuestion:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: this is no JSON", _REMEDY) from error
    if not isinstance(value, dict):
        raise UsageError(f"{where}: this is no JSON object", _REMEDY)
    unknown = [key for key in value if key not in _KEYS]
    if unknown or "answer" not in value:
        what = f"unknown key {unknown[0]!r}" if unknown else 'no "answer"'
        raise UsageError(f"{where}: {what}", _REMEDY)
    for key in ("context", "question"):
        if not isinstance(value.get(key), str) or not value[key].strip():
            raise UsageError(f"{where}: {key!r} is no text", _REMEDY)
    instruction = value.get("instruction", INSTRUCTION)
    if not isinstance(instruction, str) or not instruction.strip():
        raise UsageError(f"{where}: 'instruction' is no text", _REMEDY)
    return OwnQuestion(value["context"], value["question"], _answers(value["answer"], where), instruction)


def _answers(value: Any, where: str) -> tuple[str, ...]:
    answers = [] if value is None else [value] if isinstance(value, str) else value
    is_list = isinstance(answers, list) and all(isinstance(one, str) and one.strip() for one in answers)
    if not is_list or (value is not None and not answers):
        raise UsageError(f"{where}: 'answer' is neither a text, nor a list of texts, nor null", _REMEDY)
    return tuple(answers)

# SPDX-License-Identifier: Apache-2.0
"""What was answered, as text, from flight recorder files.

The tables have sizes and stamps only; where an answer's words are asked for, they are decoded from the bytes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inferometer.drive.answer import Answer
from inferometer.engines.engine import Delta, Dialect
from inferometer.kinds import ChunkKind
from inferometer.recorder import Due, End, Read, Sent, read_frames


class _Words(Answer):
    """An answer that keeps its words, too."""

    __slots__ = ("words",)

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.words: list[str] = []

    def _add(self, delta: Delta, read_id: int) -> None:
        super()._add(delta, read_id)
        if delta.kind is ChunkKind.CONTENT:
            self.words.append(delta.text)


def texts(paths: Sequence[Path], dialect: Dialect) -> dict[int, str]:
    """The answer to each request by its id: of the last attempt, and as far as it came."""
    answers: dict[int, _Words] = {}
    for path in paths:
        over: set[int] = set()  # what comes after its END frame is not of its answer
        for frame in read_frames(path):
            if isinstance(frame, Due | Sent):
                answers[frame.request_id] = _Words(dialect)
            elif isinstance(frame, Read) and frame.data and frame.request_id not in over:
                answers[frame.request_id].feed(frame.data, 0)
            elif isinstance(frame, End):
                over.add(frame.request_id)
                answers[frame.request_id].close(0)
    return {request_id: "".join(answer.words) for request_id, answer in answers.items()}

# SPDX-License-Identifier: Apache-2.0
"""What was answered, as text or event by event, from flight recorder files.

The tables have sizes and stamps only; where an answer's words are asked for, they are decoded from the bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from inferometer.drive.answer import Answer
from inferometer.engines.engine import Delta, Dialect
from inferometer.kinds import ChunkKind
from inferometer.recorder import Due, End, Read, Sent, read_frames

Found = TypeVar("Found")
_Answer = TypeVar("_Answer", bound=Answer)


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


class _Events(Answer):
    """An answer that has its events read by somebody else, too."""

    __slots__ = ("events",)

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.events: list[bytes] = []

    def _decode(self, event_type: str, data: bytes, read_id: int) -> None:
        self.events.append(data)
        super()._decode(event_type, data, read_id)


def texts(paths: Sequence[Path], dialect: Dialect) -> dict[int, str]:
    """The answer to each request by its id: of the last attempt, and as far as it came."""
    answers = _answers(paths, lambda: _Words(dialect))
    return {request_id: "".join(answer.words) for request_id, answer in answers.items()}


def told(paths: Sequence[Path], dialect: Dialect, read: Callable[[bytes], list[Found]]) -> dict[int, list[Found]]:
    """What `read` makes of the events of each answer, in their order; nothing of an answer in one piece."""
    answers = _answers(paths, lambda: _Events(dialect))
    return {
        request_id: [found for event in answer.events for found in read(event)]
        for request_id, answer in answers.items()
    }


def _answers(paths: Sequence[Path], begin: Callable[[], _Answer]) -> dict[int, _Answer]:
    answers: dict[int, _Answer] = {}
    for path in paths:
        over: set[int] = set()  # what comes after its END frame is not of its answer
        for frame in read_frames(path):
            if isinstance(frame, Due | Sent):
                answers[frame.request_id] = begin()
            elif isinstance(frame, Read) and frame.data and frame.request_id not in over:
                answers[frame.request_id].feed(frame.data, 0)
            elif isinstance(frame, End):
                over.add(frame.request_id)
                answers[frame.request_id].close(0)
    return answers

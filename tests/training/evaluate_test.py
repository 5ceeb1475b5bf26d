# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from inferometer.tasks import Split, Task

torch = pytest.importorskip("torch", reason="torch is not installed (training/requirements.txt)")
pytest.importorskip("httpx")

from training.evaluate import answered, cells_of, items_of  # noqa: E402
from training.tokenizer import encode_prompt  # noqa: E402
from training.verdicts import ONCE, Cell  # noqa: E402

CELL = Cell(Task.GROUNDED, 128)


def test_every_task_at_every_length_and_arithmetic_once():
    cells = cells_of([64, 128])
    assert len(cells) == len(set(cells)) == 2 * (len(Task) - 1) + 1
    assert [cell.n_tokens for cell in cells if cell.task is Task.ARITHMETIC] == [ONCE]


@pytest.mark.parametrize("cell", [CELL, Cell(Task.RETRIEVAL, 256), Cell(Task.COPYING, 256)])
def test_questions_are_held_out_and_as_long_as_the_cell_says(tokenizer, cell):
    items = items_of(cell, tokenizer, 1, 12)
    counts = [len(encode_prompt(tokenizer, item.prompt)) for item in items]
    assert all(item.split is Split.HELD_OUT for item in items)
    assert max(counts) <= cell.n_tokens
    assert sum(counts) / len(counts) > 0.85 * cell.n_tokens
    assert items == items_of(cell, tokenizer, 1, 12)
    assert items != items_of(cell, tokenizer, 2, 12)


def test_answers_are_kept_and_not_asked_for_again(tokenizer, tmp_path):
    items = items_of(CELL, tokenizer, 1, 5)
    path = tmp_path / "answers.jsonl"
    asked = []

    def answer(questions):
        asked.append(len(questions))
        return [item.answer if i % 2 else "?" for i, item in enumerate(questions)]

    rows = answered(path, "F16", items, answer)
    assert [row.is_right for row in rows] == [False, True, False, True, False]
    assert answered(path, "F16", items, answer) == rows
    assert asked == [5]
    assert [json.loads(line)["expected"] for line in path.read_text().splitlines()] == [item.answer for item in items]
    others = items_of(CELL, tokenizer, 2, 5)
    assert answered(path, "F16", others, answer) != rows  # other questions under the same name are asked
    assert asked == [5, 5]

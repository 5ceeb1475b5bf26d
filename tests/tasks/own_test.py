# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.tasks import is_abstention
from inferometer.tasks.own import INSTRUCTION, read_own

RIGHT = """\
{"context": "The lease ends in May.", "question": "When does the lease end?", "answer": ["May", "in May"]}

{"context": "The lease ends in May.", "question": "Who signed it?", "answer": null, "instruction": "One word."}
"""


def test_questions_have_their_answers_or_none(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(RIGHT)
    told, untold = read_own(path)
    assert told.answers == ("May", "in May")
    assert told.prompt == f"{INSTRUCTION}\nThe lease ends in May.\nWhen does the lease end?"
    assert untold.answers == ()
    assert untold.prompt.startswith("One word.\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", "line 1: this is no JSON"),
        ("[1]", "line 1: this is no JSON object"),
        ('{"context": "c", "question": "q"}', 'no "answer"'),
        ('{"context": "c", "question": "q", "answer": 3}', "'answer' is neither"),
        ('{"context": "c", "question": "q", "answer": []}', "'answer' is neither"),
        ('{"context": "", "question": "q", "answer": "a"}', "'context' is no text"),
        ('{"context": "c", "question": "q", "answers": "a"}', "unknown key 'answers'"),
        ('{"context": "c", "question": "q", "answer": "a", "instruction": 1}', "'instruction' is no text"),
        ("", "holds no question"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, line, message):
    path = tmp_path / "own.jsonl"
    path.write_text(line)
    with pytest.raises(UsageError, match=message):
        read_own(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_own(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "text",
    ["unknown", "Unknown.", "The text does not say.", "Not mentioned in the text", "I don't know.", "It isn't there"],
)
def test_ways_to_say_that_one_does_not_know(text):
    assert is_abstention(text) == (text != "It isn't there")


def test_a_long_text_or_a_plain_answer_is_no_abstention():
    assert not is_abstention("Garval")
    assert not is_abstention("Nothing of it is unknown to those who have read the whole of this very long story")

# SPDX-License-Identifier: Apache-2.0
"""Tokenizer files: what they count, and what they add."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.plan.tokenizer import FileCounter
from inferometer.plan.words import learn


@pytest.fixture
def path(english, tmp_path):
    english.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_file_counts_like_its_tokenizer_and_adds_the_template(path, english):
    counter = FileCounter(str(path), n_added=5)
    assert counter.count("water river stone") == len(english.encode("water river stone").ids) + 5
    assert counter.count((("user", "water"),)) is None
    assert counter.source == "the tokenizer file tokenizer.json"
    assert learn(counter).n_fixed == 5


def test_the_folder_of_a_model_will_do(path):
    assert FileCounter(str(path.parent)).count("water") == FileCounter(str(path)).count("water")


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no tokenizer at"):
        FileCounter(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a tokenizer: "):
        FileCounter(str(tmp_path))

# SPDX-License-Identifier: Apache-2.0
"""The trained model as a Hugging Face folder, made from the package's own weights."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from inferometer.embedded.hugging_face import ensure_folder
from inferometer.embedded.trained_model import TOKENIZER, WEIGHTS, digest, facts
from inferometer.embedded.words import CHAT_TEMPLATE
from inferometer.errors import EngineError


def test_made_once_and_made_anew_when_damaged(tmp_path):
    path = ensure_folder(tmp_path)
    assert digest(path / WEIGHTS) == facts().digest
    made_at = (path / "config.json").stat().st_mtime_ns
    assert ensure_folder(tmp_path) == path
    assert (path / "config.json").stat().st_mtime_ns == made_at
    (path / WEIGHTS).write_bytes(b"cut off")
    assert ensure_folder(tmp_path) == path
    assert digest(path / WEIGHTS) == facts().digest
    assert list(tmp_path.iterdir()) == [path]


def test_it_says_how_to_chat_and_where_an_answer_ends(tmp_path):
    path = ensure_folder(tmp_path)
    told = json.loads((path / "tokenizer_config.json").read_text())
    assert told["chat_template"] == CHAT_TEMPLATE
    tokenizer = Tokenizer.from_file(str(path / TOKENIZER))
    assert json.loads((path / "config.json").read_text())["eos_token_id"] == tokenizer.token_to_id(told["eos_token"])


def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(EngineError, match="cannot write the trained model") as caught:
        ensure_folder(taken)
    assert "XDG_CACHE_HOME" in caught.value.remedy

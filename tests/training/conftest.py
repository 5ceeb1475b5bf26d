# SPDX-License-Identifier: Apache-2.0
"""The tokenizer, trained once for all tests of this folder."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer
from training.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer()

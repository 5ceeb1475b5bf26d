# SPDX-License-Identifier: Apache-2.0
"""A tokenizer file (`tokenizer.json`) as a counter, for servers that have no tokenise endpoint.

Rule 1: it counts text only; what a chat template adds is known from an answer's usage and passed in.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from inferometer.errors import UsageError

_COST_S = 1e-4  # of one count; far from exact, but a tokenizer is never what takes the time


class FileCounter:
    """A `plan.words.TokenCounter`. `n_added`: tokens the server puts around a text, such as its chat template's."""

    def __init__(self, path: str, n_added: int = 0) -> None:
        """Raises: UsageError if the file is no tokenizer."""
        self._tokenizer = read_tokenizer(path)
        self._n_added = n_added
        self.source = f"the tokenizer file {Path(path).name}"
        self.cost_s = _COST_S
        self.sends_requests = False

    def count(self, prompt: str | tuple[tuple[str, str], ...]) -> int | None:
        if not isinstance(prompt, str):
            return None  # a template for several turns is more than a constant
        return len(self._tokenizer.encode(prompt, add_special_tokens=False).ids) + self._n_added

    def pieces(self, text: str) -> list[tuple[int, str]]:
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return list(zip(encoded.ids, encoded.tokens, strict=True))


def read_tokenizer(path: str) -> Tokenizer:
    """The tokenizer in a file, or in the folder of a model.

    Raises: UsageError if there is none.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "tokenizer.json"
    if not file.is_file():
        raise UsageError(f"there is no tokenizer at {file}", "give the path of a tokenizer.json to --tokenizer")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception, and nothing else
        line = " ".join(str(error).split())[:200]
        raise UsageError(f"{file} is not a tokenizer: {line}", "give the path of a tokenizer.json") from error

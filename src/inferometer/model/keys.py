# SPDX-License-Identifier: Apache-2.0
"""The keys of a config.json: asked for by name, with their type checked and a missing one named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.errors import UsageError

_MOST = 1 << 40  # more layers, heads or tokens than that is damage


class Keys:
    """`name`: of the file, for messages."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self.config, self.name = config, name

    def number(self, *names: str) -> int:
        """The first of these that is there. Raises: UsageError if none is, or it is no positive whole number."""
        found = self.maybe(*names)
        if found is None or found == 0:
            raise UsageError(
                f"{self.name} has no {' or '.join(names)}",
                "it should be the config.json of a language model, with nothing left out; a GGUF of it says more",
            )
        return found

    def maybe(self, *names: str) -> int | None:
        """The same, None where none is there. Raises: UsageError if it is no whole number."""
        for name in names:
            value = self.config.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST:
                raise UsageError(f"{self.name}: {name} is {value!r}, no whole number", "is the file whole?")
            return value
        return None

    def flag(self, name: str) -> bool | None:
        """True, False, or None if it is not there."""
        value = self.config.get(name)
        return value if isinstance(value, bool) else None

    def text(self, name: str) -> str | None:
        """None if it is not there."""
        value = self.config.get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str) -> list[str] | None:
        """A list of words, None if it is not there. Raises: UsageError if it is something else."""
        value = self.config.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise UsageError(f"{self.name}: {name} is no list of words", "is the file whole?")
        return value

    def numbers(self, name: str) -> list[int]:
        """A list of whole numbers, empty if it is not there."""
        value = self.config.get(name)
        return [item for item in value if isinstance(item, int)] if isinstance(value, list) else []

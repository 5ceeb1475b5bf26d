# SPDX-License-Identifier: Apache-2.0
"""How many tokens: the SPEC of --input-tokens and --output-tokens, read and drawn.

    128                 always 128
    uniform:100-200     every whole number from 100 to 200, equally often
    normal:512,64       mean and standard deviation
    lognormal:512,0.6   median, and standard deviation of the logarithm
    file:prompts.jsonl  the prompts of a file, one JSON object per line: `prompt` or `messages`, and if wanted
                        `output_tokens` (or `max_tokens`) and `id`

Rule 1: a draw is a function of the generator passed in, and draw k does not depend on how many are drawn.
Rule 2: what is drawn is rounded to whole tokens and clipped to the bounds given; how many were clipped can be asked.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from inferometer.errors import UsageError

Counts = npt.NDArray[np.int64]

MAX_TOKENS = 10_000_000  # of one prompt or answer; a slip of the finger beyond it
_FORMS = {"uniform": "uniform:100-200", "normal": "normal:512,64", "lognormal": "lognormal:512,0.6"}
_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True, slots=True)
class FilePrompt:
    """One line of a prompt file: a prompt or messages ((role, content), ...), and what the line says of the answer."""

    prompt: str
    messages: tuple[tuple[str, str], ...] | None = None
    n_output_tokens: int | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Lengths:
    """`spec` as given; `kind`: "fixed", "uniform", "normal", "lognormal" or "file"; `a`, `b`: its numbers."""

    spec: str
    kind: str
    a: float = 0.0
    b: float = 0.0
    prompts: tuple[FilePrompt, ...] = ()

    def draw(self, rng: np.random.Generator, n_draws: int) -> Counts:
        """int64[n_draws], at least 1. Of a file: its output lengths in order, again and again."""
        if self.kind == "fixed":
            drawn: npt.NDArray[Any] = np.full(n_draws, self.a)
        elif self.kind == "uniform":
            drawn = rng.integers(int(self.a), int(self.b), endpoint=True, size=n_draws)
        elif self.kind == "normal":
            drawn = rng.normal(self.a, self.b, n_draws)
        elif self.kind == "lognormal":
            drawn = self.a * np.exp(self.b * rng.standard_normal(n_draws))
        else:
            told = np.array([prompt.n_output_tokens or 0 for prompt in self.prompts])
            drawn = np.resize(told, n_draws)
        counts: Counts = np.clip(np.rint(drawn), 1, MAX_TOKENS).astype(np.int64)
        return counts

    @property
    def mean(self) -> float:
        """What to expect before clipping, for estimates of time and memory. Of a file: of its output lengths."""
        if self.kind == "uniform":
            return (self.a + self.b) / 2
        if self.kind == "lognormal":
            return self.a * math.exp(self.b**2 / 2)
        if self.kind == "file":
            return float(np.mean([prompt.n_output_tokens or 0 for prompt in self.prompts]))
        return self.a


def parse_lengths(text: str, flag: str = "--input-tokens") -> Lengths:
    """The law a SPEC names; a prompt file is read here, so that its faults show before anything is sent.

    Raises: UsageError with what may have been meant.
    """
    spec = text.strip()
    kind, _, rest = spec.partition(":")
    if kind.lower() == "file" and rest:
        return _of_file(spec, rest, flag)
    if re.fullmatch(r"\d+", spec):
        return _checked(Lengths(spec, "fixed", float(spec)), flag)
    if match := re.fullmatch(rf"uniform:({_NUMBER})-({_NUMBER})", spec, re.IGNORECASE):
        low, high = float(match[1]), float(match[2])
        if not (low.is_integer() and high.is_integer()):
            raise _wrong(flag, spec, f"tokens are whole: uniform:{low:.0f}-{high:.0f}")
        if low > high:
            raise _wrong(flag, spec, f"the smaller number comes first: uniform:{high:.0f}-{low:.0f}")
        return _checked(Lengths(spec, "uniform", low, high), flag)
    if match := re.fullmatch(rf"(normal|lognormal):({_NUMBER}),({_NUMBER})", spec, re.IGNORECASE):
        return _checked(Lengths(spec, match[1].lower(), float(match[2]), float(match[3])), flag)
    raise _wrong(flag, spec, _meant(spec))


def _checked(lengths: Lengths, flag: str) -> Lengths:
    if lengths.a < 1:
        raise _wrong(flag, lengths.spec, "ask for at least 1 token")
    if max(lengths.a, lengths.b) > MAX_TOKENS:
        raise _wrong(flag, lengths.spec, f"that is more than {MAX_TOKENS:,} tokens")
    if lengths.kind == "lognormal" and lengths.b > 3:
        remedy = f"its second number is the deviation of the logarithm, e.g. 0.6; did you mean normal:{lengths.a:g},"
        raise _wrong(flag, lengths.spec, f"{remedy}{lengths.b:g}?")
    return lengths


def _wrong(flag: str, spec: str, remedy: str) -> UsageError:
    return UsageError(f"{flag} {spec!r} is not a length", remedy)


def _meant(spec: str) -> str:
    """The SPEC that is probably meant, else all of them."""
    kind, separator, rest = spec.partition(":")
    numbers = re.findall(_NUMBER, rest if separator else spec)
    if separator:
        close = difflib.get_close_matches(kind.lower(), (*_FORMS, "file"), n=1)
        if close == ["file"]:
            return f"did you mean file:{rest or 'prompts.jsonl'}?"
        if close and close[0] != kind.lower() and len(numbers) == 2:
            join = "-" if close[0] == "uniform" else ","
            return f"did you mean {close[0]}:{numbers[0]}{join}{numbers[1]}?"
        if close:
            return f"{close[0]} takes two numbers: {_FORMS[close[0]]}"
    elif re.fullmatch(rf"{_NUMBER}\s*(-|\.\.|:|to)\s*{_NUMBER}", spec):
        low, high = sorted(numbers, key=float)
        return f"did you mean uniform:{low}-{high}?"
    elif re.fullmatch(rf"{_NUMBER}\s*,\s*{_NUMBER}", spec):
        return f"did you mean normal:{numbers[0]},{numbers[1]}?"
    elif spec.endswith((".jsonl", ".json", ".txt")):
        return f"did you mean file:{spec}?"
    elif re.fullmatch(rf"{_NUMBER}\D*", spec) and float(numbers[0]) >= 1:
        return f"did you mean {float(numbers[0]):.0f}?"
    return f"write 128, {', '.join(_FORMS.values())} or file:prompts.jsonl"


# --- prompt files --------------------------------------------------------------------------------------------------


def _of_file(spec: str, name: str, flag: str) -> Lengths:
    prompts = _read_prompts(Path(name))
    if flag == "--output-tokens":
        for n_line, prompt in enumerate(prompts, 1):
            if prompt.n_output_tokens is None:
                remedy = "give every line output_tokens, or a length to --output-tokens"
                raise UsageError(f"{name}: prompt {n_line} does not say its output_tokens", remedy)
    return Lengths(spec, "file", prompts=prompts)


def _read_prompts(path: Path) -> tuple[FilePrompt, ...]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", _nearby(path)) from error
    prompts = tuple(_read_line(path, i + 1, line) for i, line in enumerate(lines) if line.strip())
    if not prompts:
        raise UsageError(f"{path} holds no prompt", 'write one JSON object per line: {"prompt": "..."}')
    return prompts


def _nearby(path: Path) -> str:
    """Files beside it with nearly its name."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent}"
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean file:{path.parent / close[0]}?" if close else "give the path of a file of prompts"


class _Turn(msgspec.Struct):
    role: str
    content: str


class _Line(msgspec.Struct):
    prompt: str | None = None
    messages: list[_Turn] | None = None
    output_tokens: int | None = None
    max_tokens: int | None = None
    id: str | int | None = None


_LINE = msgspec.json.Decoder(_Line)


def _read_line(path: Path, n_line: int, data: bytes) -> FilePrompt:
    where = f"{path}, line {n_line}"
    try:
        line = _LINE.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: {error}", 'write one JSON object per line: {"prompt": "..."}') from error
    if (line.prompt is None) == (line.messages is None):
        raise UsageError(f"{where}: it needs either prompt or messages", 'for example {"prompt": "..."}')
    if line.messages is not None and not line.messages:
        raise UsageError(
            f"{where}: messages is empty", 'for example {"messages": [{"role": "user", "content": "..."}]}'
        )
    if line.prompt == "":
        raise UsageError(f"{where}: the prompt is empty", "take the line out, or give it a prompt")
    n_output_tokens = line.max_tokens if line.output_tokens is None else line.output_tokens
    if n_output_tokens is not None and not 1 <= n_output_tokens <= MAX_TOKENS:
        raise UsageError(f"{where}: {n_output_tokens} is no number of output tokens", "ask for at least 1 token")
    turns = None if line.messages is None else tuple((turn.role, turn.content) for turn in line.messages)
    return FilePrompt(line.prompt or "", turns, n_output_tokens, "" if line.id is None else str(line.id))

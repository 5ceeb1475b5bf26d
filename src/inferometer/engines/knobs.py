# SPDX-License-Identifier: Apache-2.0
"""Canonical knobs: one name and one meaning for what every engine calls otherwise; and `--set knob=value` read."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import TypeAlias

from inferometer.errors import UsageError

Value: TypeAlias = int | float | bool | str

COUNT, NUMBER, RATIO, SWITCH, WORD = "count", "number", "ratio", "switch", "word"

# name -> (what it takes, what it means)
KNOBS: dict[str, tuple[str, str]] = {
    "max_concurrency": (COUNT, "requests served at the same time, at most"),
    "context": (COUNT, "tokens of one request, prompt and answer together"),
    "kv_ratio": (RATIO, "share of the device's memory that the engine may use"),
    "dtype": (WORD, "number format of weights and computing: auto, bfloat16, float16, float32"),
    "quantization": (WORD, "how the weights are quantized: awq, gptq, fp8, ..."),
    "kv_dtype": (WORD, "number format of the KV cache: auto, float16, bfloat16, fp8, int8, ..."),
    "prefix_cache": (SWITCH, "use again what was computed for an equal beginning of a prompt"),
    "chunked_prefill": (SWITCH, "compute long prompts in pieces, between the tokens of others"),
    "tensor_parallel": (COUNT, "GPUs that share every layer"),
    "seed": (NUMBER, "of sampling, where a request brings none"),
    "threads": (COUNT, "computing threads on the CPU"),
}

_WANTED = {
    COUNT: "a whole number of at least 1",
    NUMBER: "a whole number of at least 0",
    RATIO: "a number above 0, up to 1",
    SWITCH: "on or off",
    WORD: "a word",
}
_SWITCHES = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


def parse_settings(settings: Iterable[str]) -> dict[str, Value]:
    """Values by knob, out of `knob=value`. Raises: UsageError with the nearest knob, or with what the knob takes."""
    values: dict[str, Value] = {}
    for setting in settings:
        written, found, text = setting.partition("=")
        name = written.strip().replace("-", "_")
        if not found:
            raise UsageError(
                f"--set {setting!r} has no value", "write --set knob=value, for example --set context=4096"
            )
        if name not in KNOBS:
            raise UsageError(f"there is no knob {written!r}", nearest(name, KNOBS))
        if name in values:
            raise UsageError(f"the knob {name} is set twice", "set it once")
        values[name] = parse_value(name, text.strip())
    return values


def parse_value(name: str, text: str) -> Value:
    """Raises: UsageError if that is nothing the knob takes."""
    kind, meaning = KNOBS[name]
    value = _value(kind, text)
    if value is None:
        raise UsageError(f"--set {name} takes {_WANTED[kind]}, not {text!r}", f"{name}: {meaning}")
    return value


def _value(kind: str, text: str) -> Value | None:
    if kind in (COUNT, NUMBER):
        is_right = re.fullmatch(r"\d{1,12}", text) is not None and int(text) >= (kind == COUNT)
        return int(text) if is_right else None
    if kind == RATIO:
        try:
            ratio = float(text)
        except ValueError:
            return None
        return ratio if math.isfinite(ratio) and 0 < ratio <= 1 else None
    if kind == SWITCH:
        return _SWITCHES.get(text.lower())
    return text if re.fullmatch(r"[\w.+:/-]+", text) else None


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy: the one that was probably meant, or all there are. Flags of an engine's own go after `--`."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    own = "an engine's own flags go after --"
    return f"did you mean {close[0]}?" if close else f"knobs are {', '.join(names)}; {own}"


def written(value: Value) -> str:
    """As it is written for `--set` and in a report."""
    return (
        ("on" if value else "off")
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )

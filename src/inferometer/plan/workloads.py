# SPDX-License-Identifier: Apache-2.0
"""Workloads by name: lengths of prompts and answers as they were seen somewhere, each with where.

Rule: a lognormal law has two numbers, so two of the source are kept: the median and the 99th percentile.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from inferometer.errors import UsageError
from inferometer.plan.lengths import parse_lengths

_AZURE = "Azure LLM inference trace 2023, {}: its medians and 99th percentiles, as lognormal laws"


@dataclass(frozen=True, slots=True)
class NamedWorkload:
    """SPECs of lengths, and where they are from."""

    name: str
    input_tokens: str
    output_tokens: str
    source: str


PRESETS = (
    NamedWorkload("default", "128", "uniform:32-64", "what `run` asks for without flags"),
    NamedWorkload("chat", "lognormal:1020,0.60", "lognormal:129,0.66", _AZURE.format("conversation")),
    NamedWorkload("code", "lognormal:1469,0.70", "lognormal:13,1.27", _AZURE.format("code")),
    NamedWorkload(
        "summarize",
        "lognormal:2730,0.16",
        "lognormal:167,1.28",
        "arXiv summarization: its medians and 99th percentiles, as lognormal laws",
    ),
)


def parse_workload(text: str) -> NamedWorkload:
    """A preset by its name, a file of prompts, or IN/OUT as two SPECs: `chat`, `prompts.jsonl`, `512/uniform:16-64`.

    Raises: UsageError with what may have been meant.
    """
    name = text.strip()
    found = next((preset for preset in PRESETS if preset.name == name.lower()), None)
    if found is not None:
        return found
    if name.endswith(".jsonl"):
        spec = f"file:{name}"
        parse_lengths(spec, "--workload")
        return NamedWorkload(name, spec, "uniform:32-64", "prompts of a file")
    inputs, sign, outputs = name.partition("/")
    if sign and "/" not in outputs:
        parse_lengths(inputs, "--workload")
        parse_lengths(outputs, "--workload")
        return NamedWorkload(name, inputs, outputs, "as given")
    names = [preset.name for preset in PRESETS]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    raise UsageError(
        f"--workload {name!r} is neither a preset, nor a file of prompts (.jsonl), nor IN/OUT",
        f"did you mean {close[0]}?" if close else f"choose {', '.join(names)}, or write 512/uniform:16-64",
    )

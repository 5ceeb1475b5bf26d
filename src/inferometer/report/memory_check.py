# SPDX-License-Identifier: Apache-2.0
"""What was predicted of an engine's memory beside what it says and what it holds, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import msgspec

from inferometer.report.layout import columns, cut_middle, wrapped
from inferometer.units import format_bytes

SCHEMA = "inferometer/memory-check/1"
WITHIN_RATIO = 0.02  # the claim


@dataclass(frozen=True, slots=True)
class Check:
    """All in bytes. `measured`: what the engine's processes hold more with `n_tokens` than with `n_tokens_short`, and
    what was predicted and said of that difference; None where it cannot be read. n = 1 each."""

    model: str
    engine: str
    n_sequences: int
    context_tokens: int
    n_tokens: int
    kv_format: str
    kv_predicted: int
    kv_told: float
    state_predicted: int
    state_told: float
    weights_predicted: int
    weights_told: float
    repacked_told: float
    other_told: float
    held: int | None
    n_tokens_short: int
    kv_more_predicted: int
    kv_more_told: float
    more_measured: int | None

    @property
    def error_ratio(self) -> float:
        """Predicted against the engine's own figure, of what sequences take."""
        told = self.kv_told + self.state_told
        return (self.kv_predicted + self.state_predicted) / told - 1

    @property
    def is_within(self) -> bool:
        return abs(self.error_ratio) <= WITHIN_RATIO


def render(check: Check, *, width: int = 100) -> str:
    """The answer first."""
    word = "as predicted" if check.is_within else "NOT as predicted"
    lines = [f"{cut_middle(check.model, width // 2)}: the KV cache is {word}, {100 * check.error_ratio:+.2f} %"]
    lines += [*wrapped("", f"in {check.engine}", width=width, indent=12), ""]
    rows = [
        ("", "predicted", "the engine says"),
        (
            f"KV cache, {check.n_sequences} x {check.context_tokens:,} tokens in {check.kv_format}",
            format_bytes(check.kv_predicted),
            format_bytes(check.kv_told),
        ),
    ]
    if check.state_predicted or check.state_told:
        rows.append(("states", format_bytes(check.state_predicted), format_bytes(check.state_told)))
    rows.append(("weights", format_bytes(check.weights_predicted), format_bytes(check.weights_told)))
    rows.append(("compute buffers", "-", format_bytes(check.other_told)))
    lines += columns(rows, "<>>", indent=2)
    if check.repacked_told:
        told = f"{format_bytes(check.repacked_told)} of its weights are a copy in an order that suits this CPU"
        lines += ["", *wrapped("note", told, width=width, indent=12)]
    if check.held is not None and check.more_measured is not None:
        lines += ["", *wrapped("measured", _measured(check), width=width, indent=12)]
        told = f"{format_bytes(check.held)} held in all, the interpreter and the engine's libraries included"
        lines += wrapped("", told, width=width, indent=12)
    return "\n".join(lines) + "\n"


def _measured(check: Check) -> str:
    assert check.more_measured is not None
    return (
        f"with room for {check.n_tokens:,} tokens in place of {check.n_tokens_short:,} its processes hold "
        f"{format_bytes(check.more_measured)} more (Pss, started once each); the cache grows by "
        f"{format_bytes(check.kv_more_predicted)} as predicted, {format_bytes(check.kv_more_told)} as the engine says"
    )


def to_json(check: Check) -> bytes:
    """Every field of Check, and `error_ratio`."""
    document = {"schema": SCHEMA, **asdict(check), "error_ratio": check.error_ratio, "is_within": check.is_within}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"

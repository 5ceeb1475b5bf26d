# SPDX-License-Identifier: Apache-2.0
"""The answer on cost as text and as JSON: the least time of a token and a prompt, what bounds it, the least price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.model.cost import CostPicture, Line
from inferometer.report.layout import columns, cut_middle, wrapped
from inferometer.report.memory import Origin, answered
from inferometer.units import format_bytes, format_duration, format_number

SCHEMA = "inferometer/cost/1"
_INDENT = 12


def render(picture: CostPicture, origin: Origin, *, width: int = 100) -> str:
    """One screen, the answer first."""
    where = picture.device.name if picture.served.degree == 1 else f"{picture.served.degree} x {picture.device.name}"
    head = f"{cut_middle(origin.name, width // 3)} on {cut_middle(where, width // 3)}:"
    least = format_duration(picture.lines[0].step.least_s)
    lines = answered(head, f"a stream has a token every {least}, at best", width)
    lines += wrapped("", _bound(picture), width=width, indent=_INDENT)
    lines.append("")
    for label, text in _facts(picture, origin):
        lines += wrapped(label, text, width=width, indent=_INDENT)
    lines += ["", f"decoding at {picture.n_tokens:,} tokens of context, at best", *_table(picture), ""]
    for i, caveat in enumerate(_caveats(picture)):
        lines += wrapped("" if i else "mind", caveat, width=width, indent=_INDENT)
    return "\n".join(lines) + "\n"


def _bound(picture: CostPicture) -> str:
    if picture.roof.flops_per_s is None:
        return (
            "bound by bandwidth; the table has no peak rate of this device, so where computing takes over is not known"
        )
    if picture.compute_bound_from is None:
        return f"decoding at {picture.n_tokens:,} tokens of context is bound by bandwidth, for any number of sequences"
    told = f"decoding is bound by bandwidth below {picture.compute_bound_from:,} sequences, by computing from there on"
    if picture.n_fit is not None and picture.n_fit < picture.compute_bound_from:
        told += f"; the memory holds {max(picture.n_fit, 0):,}"
    return told


def _facts(picture: CostPicture, origin: Origin) -> list[tuple[str, str]]:
    matrices, attention = picture.matrix_flops, picture.attention_flops
    share = 100 * attention / matrices
    facts = [
        (
            "model",
            f"read from {origin.source}; weights {picture.served.weights.name}, cache {picture.served.kv_format}",
        ),
        (
            "one token",
            f"{format_number(matrices / 1e9)} GFLOP in matrices and {format_number(attention / 1e9)} in attention "
            f"({share:.0f} %); reads {format_bytes(picture.read_bytes)} of weights and "
            f"{format_bytes(picture.cache_bytes)} of cache{' on each device' * (picture.served.degree > 1)}",
        ),
    ]
    told = f"{picture.device.bandwidth_gb_per_s:,.0f} GB/s"
    if picture.roof.flops_per_s is not None and picture.roof.ridge is not None:
        told += (
            f", {format_number(picture.roof.flops_per_s / 1e12)} TFLOP/s in {picture.roof.computed_in} (dense): "
            f"computing takes over from {picture.roof.ridge:.0f} FLOP per byte on"
        )
    facts.append(("device", f"{told}; data sheet, {picture.device.status}"))
    if picture.prefill_s is not None:
        facts.append(
            (
                "prompt",
                f"{picture.n_tokens:,} tokens are {format_number(picture.prefill_flops / 1e12)} TFLOP: "
                f"{format_duration(picture.prefill_s)} to the first token, at best",
            )
        )
    law = picture.law
    per_prompt = "" if law.b_s is None else f" + {law.b_s * 1e6:.3g} us per prompt token"
    facts.append(
        ("iteration", f"{format_duration(law.a_s)}{per_prompt} + {law.d_s * 1e9:.3g} ns per token of context, at best")
    )
    return facts


def _table(picture: CostPicture) -> list[str]:
    heads = ["sequences", "step", "tokens/s", "per stream", "bound by", "fits"]
    has_price = any(line.per_1000 is not None for line in picture.lines)
    heads += [f"1,000 requests of {picture.n_tokens:,} + {picture.n_output:,}"] if has_price else []
    rows: list[Sequence[str]] = [heads, *(_row(line, has_price=has_price) for line in picture.lines)]
    return columns(rows, ">>>><<" + ">" * has_price, indent=2)


def _row(line: Line, *, has_price: bool) -> list[str]:
    step = line.step
    cells = [
        f"{step.n_sequences:,}",
        format_duration(step.least_s),
        f"{step.tokens_per_s:,.0f}",
        f"{1 / step.least_s:,.0f}",
        step.bound_by,
        {True: "yes", False: "no", None: "?"}[line.fits],
    ]
    return cells + (["-" if line.per_1000 is None else f"${format_number(line.per_1000)}"] if has_price else [])


def _caveats(picture: CostPicture) -> list[str]:
    told = ["these are ceilings: three engines were measured at 53 to 83 % of them; communication is left out"]
    if picture.served.architecture.experts is not None:
        told.append("experts are taken as chosen at random: the most of them that a step can touch")
    if picture.price_per_hour is not None:
        told.append(
            f"prices are of whole requests, at ${format_number(picture.price_per_hour)} per device and hour without an "
            "idle second: divide by the share of time that is used. A price per input token and one per output token, "
            "each with the whole device in it, must not be added"
        )
    told.append("energy is not in it: it is measured, not computed")
    return told


def to_json(picture: CostPicture, origin: Origin) -> bytes:
    """Every number of the page in base units; see docs/reference/json.md."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "model": {
            "name": origin.name,
            "source": origin.source,
            "n_parameters": picture.served.parameters.total,
            "n_active_parameters": picture.served.parameters.active,
            "weights": picture.served.weights.name,
            "cache": picture.served.kv_format,
            "not_known": picture.served.architecture.doubts,
        },
        "device": {
            "name": picture.device.name,
            "n": picture.served.degree,
            "bytes_per_s": picture.roof.bytes_per_s,
            "flops_per_s": picture.roof.flops_per_s,
            "computed_in": picture.roof.computed_in,
            "ridge_flops_per_byte": picture.roof.ridge,
            "known": picture.device.status,
        },
        "context_tokens": picture.n_tokens,
        "token": {
            "matrix_flops": picture.matrix_flops,
            "attention_flops": picture.attention_flops,
            "weights_bytes_read": picture.read_bytes,
            "cache_bytes_read": picture.cache_bytes,
        },
        "prompt": {"flops": picture.prefill_flops, "least_s": picture.prefill_s},
        "iteration_floor": {
            "a_s": picture.law.a_s,
            "b_s_per_prompt_token": picture.law.b_s,
            "d_s_per_context_token": picture.law.d_s,
        },
        "compute_bound_from_sequences": picture.compute_bound_from,
        "n_sequences_that_fit": picture.n_fit,
        "price_per_hour": picture.price_per_hour,
        "output_tokens": picture.n_output,
        "decoding": [_line_json(line) for line in picture.lines],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _line_json(line: Line) -> dict[str, Any]:
    step = line.step
    return {
        "n_sequences": step.n_sequences,
        "least_s": step.least_s,
        "read_s": step.read_s,
        "compute_s": step.compute_s,
        "tokens_per_s": step.tokens_per_s,
        "bound_by": step.bound_by,
        "fits": line.fits,
        "least_price_per_1000_requests": line.per_1000,
    }

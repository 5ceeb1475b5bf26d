# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain cost`: the FLOPs and bytes of a model's tokens, and the least they can take on a device."""

from __future__ import annotations

import sys
from typing import Annotated, TypeAlias

import typer

from inferometer.cli.explain_memory import Kv, ModelAsked, Tp
from inferometer.cli.options import Format, FormatOption, width

Device: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Device of the table, as H200; `explain memory --list` has all.")
]
Context: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Tokens of a prompt. Default 2048, or the model's own if less.")
]
Weights: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FORMAT", help="bf16, fp8, int4, q4_k_m ... Default: its own.")
]
Output: TypeAlias = Annotated[
    int, typer.Option(metavar="N", min=1, help="Tokens of an answer, for the price. Default 256.")
]
Price: TypeAlias = Annotated[
    float | None, typer.Option(metavar="USD", min=0.0, help="Price of one device for one hour: the least per request.")
]


def cost(
    device: Device,
    model: ModelAsked = None,
    context: Context = None,
    output: Output = 256,
    weights: Weights = None,
    kv: Kv = None,
    tp: Tp = 1,
    price: Price = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Say what a token costs in FLOPs and bytes, and the least time and money it can take on a device."""
    from inferometer.cli import known
    from inferometer.host.description import devices
    from inferometer.model.cost import CostWish, cost_picture
    from inferometer.model.devices import find
    from inferometer.model.formats import kv_format
    from inferometer.report import cost as page
    from inferometer.report.memory import Origin

    found, _ = find(device, devices())
    described = known.model_of(model)
    wish = CostWish(context, output, tp, weights, None if kv is None else kv_format(kv), price)
    answer = cost_picture(described.architecture, described.stored, found, wish)
    origin = Origin(described.name, described.source, described.note)
    if format is Format.JSON:
        sys.stdout.write(page.to_json(answer, origin).decode())
    else:
        sys.stdout.write(page.render(answer, origin, width=width()))

# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain memory`: what a model takes on a device, and how many sequences fit beside it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from inferometer.cli.options import Format, FormatOption, width
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.host.description import Description


ModelAsked: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        help="GGUF file, config.json, folder, owner/name on the hub, or a known name. Default: the embedded model.",
        show_default=False,
    ),
]
Device: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="Device of the table, as H200. Default: this machine.")
]
Memory: TypeAlias = Annotated[str | None, typer.Option(metavar="SIZE", help="A device with that much: 24GB, 80GiB.")]
Context: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Tokens of a sequence. Default 8192, or the model's own if less.")
]
Weights: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FORMAT|SIZE", help="bf16, fp8, int4, q4_k_m ... or 54GB. Default: its own.")
]
Kv: TypeAlias = Annotated[str | None, typer.Option(metavar="FORMAT", help="Of the cache: bf16, fp8, q8_0, q4_0 ...")]
Tp: TypeAlias = Annotated[int, typer.Option(metavar="N", min=1, help="Devices that share each layer. Default 1.")]
Share: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="X", min=0.05, max=1.0, help="Of the memory, used at most. Default 0.9; shared memory 0.75."),
]
Other: TypeAlias = Annotated[
    str | None, typer.Option(metavar="SIZE", help="What the engine needs beside, per device. Default: assumed.")
]
List: TypeAlias = Annotated[bool, typer.Option("--list", help="List the devices and models that are known by name.")]

Check: TypeAlias = Annotated[
    bool,
    typer.Option("--check", help="Start the embedded llama.cpp with it, and compare with what that says and takes."),
]


def memory(
    model: ModelAsked = None,
    device: Device = None,
    memory: Memory = None,
    context: Context = None,
    weights: Weights = None,
    kv: Kv = None,
    tp: Tp = 1,
    share: Share = None,
    other: Other = None,
    list_known: List = False,
    check: Check = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Say how many sequences of a length fit on a device beside the weights, and what takes the room."""
    from inferometer.cli import known
    from inferometer.model.formats import kv_format
    from inferometer.model.memory import Wish, picture
    from inferometer.report import memory as page
    from inferometer.units import parse_bytes

    if list_known:
        if format is Format.JSON:
            raise UsageError("--list has no --format json", "docs/reference/models.md has the same tables")
        sys.stdout.write(known.listing(width()))
        return
    described = known.model_of(model)
    kv_name = None if kv is None else kv_format(kv)
    if check:
        given = {"--device": device, "--memory": memory, "--weights": weights, "--share": share, "--other": other}
        unused = [flag for flag, value in given.items() if value is not None] + (["--tp"] if tp != 1 else [])
        if unused:
            raise UsageError(f"--check starts llama.cpp on this machine: {unused[0]} means nothing to it", "drop it")
        sys.stdout.write(_checked(described, context, kv_name, format))
        return
    place, others = known.place_of(device, memory)
    wish = Wish(
        context,
        tp,
        weights,
        kv_name,
        share,
        None if other is None else parse_bytes(other),
    )
    answer = picture(described.architecture, described.stored, place, wish)
    origin = page.Origin(described.name, described.source, described.note, others)
    if format is Format.JSON:
        sys.stdout.write(page.to_json(answer, origin).decode())
    else:
        sys.stdout.write(page.render(answer, origin, width=width()))


def _checked(described: Description, context: int | None, kv_name: str | None, format: Format) -> str:
    from inferometer.cli import memory_check
    from inferometer.report import memory_check as page

    found = memory_check.check(described, context_tokens=context, kv_format=kv_name)
    return page.to_json(found).decode() if format is Format.JSON else page.render(found, width=width())

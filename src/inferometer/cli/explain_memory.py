# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain memory`: what a model takes on a device; of a running engine, predicted, told and measured."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption, width
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.host.description import Description

RUNNING = "A running engine"

ModelAsked: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL | URL]",
        help="GGUF file, config.json, folder, owner/name on the hub, or a known name; default: the embedded model. "
        "A URL: the engine that runs there.",
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


ModelFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model-file",
        metavar="MODEL",
        help="What a running engine serves, where its name is not enough: as MODEL.",
        rich_help_panel=RUNNING,
    ),
]
EngineOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="Start it with MODEL, or `embedded`.", rich_help_panel=RUNNING),
]
Concurrency: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=2, help="Requests in flight. Default: as many as it serves, else 16.", rich_help_panel=RUNNING
    ),
]


def memory(
    typer_context: typer.Context,
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
    engine: EngineOption = None,
    model_asked: flags.Model = None,
    model_file: ModelFile = None,
    set_: flags.Set = None,
    api: flags.Api = None,
    concurrency: Concurrency = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    budget: flags.Budget = None,
    ready_timeout: flags.ReadyTimeout = None,
    header: flags.Header = None,
    api_key_env: flags.ApiKeyEnv = None,
    insecure: flags.Insecure = None,
    out: flags.Out = None,
    quiet: flags.Quiet = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Say how many sequences of a length fit on a device beside the weights, and what takes the room.

    With a URL or --engine: what that engine was predicted to take, what it says and what it holds; what batching and
    paging gain; whether its cache is too small for the load, and whether its memory grows.
    """
    static = {"--device": device, "--memory": memory, "--context": context, "--weights": weights, "--share": share}
    static |= {"--other": other, "--tp": tp if tp != 1 else None}
    running: dict[str, object] = {"--model": model_asked, "--model-file": model_file, "--set": set_, "--api": api}
    running |= {"--concurrency": concurrency, "--input-tokens": input_tokens, "--output-tokens": output_tokens}
    running |= {"--budget": budget, "--ready-timeout": ready_timeout, "--header": header, "--out": out}
    running |= {"--api-key-env": api_key_env, "--insecure": insecure}
    is_url = model is not None and "://" in model
    if is_url or engine is not None or typer_context.obj:
        from inferometer.cli import footing

        footing.refuse(
            "a running engine has its own", static | {"--check": check or None, "--list": list_known or None}
        )
        given = footing.fields_of(
            model if is_url else None, engine, model_asked or (None if is_url else model), running
        )
        given["command"] = typer_context.obj or None
        sys.exit(footing.memory(given, model_file, kv, concurrency, budget, format, is_quiet=quiet))
    if unused := [flag for flag, value in running.items() if value is not None]:
        raise UsageError(f"{unused[0]} is about a running engine", "give its URL, or --engine NAME; or drop it")
    _predicted(model, device, memory, context, weights, kv, tp, share, other, list_known, check, format)


def _predicted(
    model: str | None,
    device: str | None,
    memory: str | None,
    context: int | None,
    weights: str | None,
    kv: str | None,
    tp: int,
    share: float | None,
    other: str | None,
    list_known: bool,
    check: bool,
    format: Format,
) -> None:
    """Without any engine, but with --check."""
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

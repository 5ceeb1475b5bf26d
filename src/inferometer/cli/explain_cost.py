# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain cost`: the FLOPs and bytes of a model's tokens, and the least they can take on a device; of a
running engine, the share of its ceilings that it reaches, and what a request costs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli import flags
from inferometer.cli.explain_memory import RUNNING, Concurrency, EngineOption, Kv, ModelAsked, ModelFile
from inferometer.cli.options import Format, FormatOption, width
from inferometer.errors import UsageError
from inferometer.units import parse_price_per_hour

Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Device of the table, as H200; `explain memory --list` has all."),
]
Context = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Tokens of a prompt. Default 2048, or the model's own if less.")
]
Weights = Annotated[str | None, typer.Option(metavar="FORMAT", help="bf16, fp8, int4, q4_k_m ... Default: its own.")]
Output = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Tokens of an answer, for the price. Default 256.")
]
Tp = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Devices that share each layer, at a URL too. Default 1."),
]
Price = Annotated[
    str | None,
    typer.Option(metavar="USD/h", help="Price of one device for an hour, or of all that a running engine has: 2.5/h."),
]
ApiPrice = Annotated[
    str | None,
    typer.Option(
        metavar="IN,OUT",
        help="An API's price to compare with, dollars per million tokens: 0.15,0.60.",
        rich_help_panel=RUNNING,
    ),
]
Slo = Annotated[
    str | None,
    typer.Option(
        "--slo",
        metavar="LIMITS|PRESET",
        help="Price the highest rate within these limits, as `limit` finds it.",
        rich_help_panel=RUNNING,
    ),
]
_OUTPUT_TOKENS = 256


def cost(
    typer_context: typer.Context,
    model: ModelAsked = None,
    device: Device = None,
    context: Context = None,
    output: Output = None,
    weights: Weights = None,
    kv: Kv = None,
    tp: Tp = None,
    price: Price = None,
    engine: EngineOption = None,
    model_asked: flags.Model = None,
    model_file: ModelFile = None,
    set_: flags.Set = None,
    api: flags.Api = None,
    concurrency: Concurrency = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    slo: Slo = None,
    api_price: ApiPrice = None,
    budget: flags.Budget = None,
    ready_timeout: flags.ReadyTimeout = None,
    header: flags.Header = None,
    api_key_env: flags.ApiKeyEnv = None,
    insecure: flags.Insecure = None,
    out: flags.Out = None,
    quiet: flags.Quiet = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Say what a token costs in FLOPs and bytes, and the least time and money it can take on a device.

    With a URL or --engine: the share of its ceilings that the engine reaches, prefill and decoding apart; energy; and
    the price of a request at the load that is allowed.
    """
    running: dict[str, object] = {"--model": model_asked, "--model-file": model_file, "--set": set_, "--api": api}
    running |= {"--concurrency": concurrency, "--input-tokens": input_tokens, "--output-tokens": output_tokens}
    running |= {"--budget": budget, "--ready-timeout": ready_timeout, "--header": header, "--out": out}
    running |= {"--api-key-env": api_key_env, "--insecure": insecure}
    priced = {"--slo": slo, "--api-price": api_price}
    is_url = model is not None and "://" in model
    if is_url or engine is not None or typer_context.obj:
        from inferometer.cli import footing

        static = {"--context": context, "--output": output, "--weights": weights}
        footing.refuse("a running engine has its own", static)
        if engine is not None and tp is not None:
            raise UsageError("--tp is of a server that runs already", "start it with --set tensor_parallel=N")
        asked = model_asked or (None if is_url else model)
        given = footing.fields_of(model if is_url else None, engine, asked, running)
        given["command"] = typer_context.obj or None
        sys.exit(
            footing.cost(
                given,
                model_file,
                device,
                tp,
                kv,
                concurrency,
                price,
                api_price,
                slo,
                budget,
                format,
                is_quiet=quiet,
            )
        )
    if unused := [flag for flag, value in (running | priced).items() if value is not None]:
        raise UsageError(f"{unused[0]} is about a running engine", "give its URL, or --engine NAME; or drop it")
    if device is None:
        raise UsageError(
            "on which device?", "name one: --device H200; or an engine to measure: a URL, or --engine embedded"
        )
    per_hour = None if price is None else parse_price_per_hour(price)
    _least(model, device, context, output or _OUTPUT_TOKENS, weights, kv, tp or 1, per_hour, format)


def _least(
    model: str | None,
    device: str,
    context: int | None,
    output: int,
    weights: str | None,
    kv: str | None,
    tp: int,
    price: float | None,
    format: Format,
) -> None:
    """Without any engine."""
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

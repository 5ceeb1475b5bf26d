# SPDX-License-Identifier: Apache-2.0
"""`inferometer limit`: the highest load at which a share of the requests meets all limits."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption
from inferometer.units import parse_duration_s


class Of(StrEnum):
    """What load means."""

    RATE = "rate"
    CONCURRENCY = "concurrency"


Slo = Annotated[
    str | None,
    typer.Option(
        "--slo",
        metavar="LIMITS|PRESET",
        help="Limits on every request: 'ttft<500ms,tpot<50ms'; or chat, code, batch, mlperf-MODEL-SCENARIO.",
        rich_help_panel=flags.LIMIT,
        show_default=False,
    ),
]
Attainment = Annotated[
    float | None,
    typer.Option(
        "--attainment",
        metavar="SHARE",
        help="Share of requests that must meet them all. Default 0.95, or the preset's.",
        rich_help_panel=flags.LIMIT,
        show_default=False,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="How long to search at most. Default 15m.",
        rich_help_panel=flags.LIMIT,
        show_default=False,
    ),
]
OfOption = Annotated[
    Of,
    typer.Option("--of", help="The highest rate (open loop) or concurrency (closed loop).", rich_help_panel=flags.LOAD),
]


def limit(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    slo: Slo = None,
    attainment: Attainment = None,
    budget: Budget = None,
    of: OfOption = Of.RATE,
    arrivals: flags.Arrivals = None,
    workers: flags.Workers = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    shared_prefix: flags.SharedPrefix = None,
    tokenizer: flags.Tokenizer = None,
    count_tokens: flags.CountTokens = None,
    no_stream: flags.NoStream = None,
    temperature: flags.Temperature = None,
    seed: flags.Seed = None,
    timeout: flags.Timeout = None,
    stall_timeout: flags.StallTimeout = None,
    ready_timeout: flags.ReadyTimeout = None,
    header: flags.Header = None,
    api_key_env: flags.ApiKeyEnv = None,
    insecure: flags.Insecure = None,
    keep_caches: flags.KeepCaches = None,
    scrape_every: flags.ScrapeEvery = None,
    out: flags.Out = None,
    no_content: flags.NoContent = None,
    config: flags.Config = None,
    quiet: flags.Quiet = False,
    dry_run: flags.DryRun = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Search the highest load at which a share of the requests meets all limits, and one that is shown to be safe.

    The engine is started once; every look at a load is a run, in the folder of the search.
    """
    given = flags.fields_of(locals())
    from inferometer.cli import probing

    budget_s = None if budget is None else parse_duration_s(budget)
    is_closed = of is Of.CONCURRENCY
    given |= {"rate": None if is_closed else 1.0, "concurrency": 1 if is_closed else None}
    for name in ("attainment", "budget", "of"):
        del given[name]
    common, objective = probing.resolve_objective(given, config, attainment)
    if dry_run:
        probing.print_limit_plan(common, objective, format, is_closed=is_closed, budget_s=budget_s)
        return
    sys.exit(probing.limit(common, objective, format, is_closed=is_closed, budget_s=budget_s, is_quiet=quiet))

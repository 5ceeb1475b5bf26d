# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain latency`: where a request's time goes, and what there is too little of."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption

Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="N",
        help="Requests in flight that are explained. Default: slots that the server tells, at most 16; else 8.",
        rich_help_panel=flags.LOAD,
        show_default=False,
    ),
]


def latency(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    concurrency: Concurrency = None,
    budget: flags.Budget = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    tokenizer: flags.Tokenizer = None,
    count_tokens: flags.CountTokens = None,
    temperature: flags.Temperature = None,
    seed: flags.Seed = None,
    timeout: flags.Timeout = None,
    stall_timeout: flags.StallTimeout = None,
    ready_timeout: flags.ReadyTimeout = None,
    header: flags.Header = None,
    api_key_env: flags.ApiKeyEnv = None,
    insecure: flags.Insecure = None,
    scrape_every: flags.ScrapeEvery = None,
    out: flags.Out = None,
    no_content: flags.NoContent = None,
    config: flags.Config = None,
    quiet: flags.Quiet = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Split the time to first token and the time per token into parts that add up, and name what binds.

    Prompts of several lengths alone and together, the engine's own clock and gauges, and a law of its iterations that
    is held against loads it was not fitted to. Stalls are held against what coincides with them.
    """
    given = flags.fields_of(locals() | {"no_stream": None})
    del given["budget"]
    from inferometer.cli import examining, probing
    from inferometer.probes.explain.latency import BUDGET_S

    common = probing.resolve(given, config)
    budget_s = examining.budget_of(budget, BUDGET_S)
    sys.exit(examining.latency(common, concurrency, budget_s, format, is_quiet=quiet))

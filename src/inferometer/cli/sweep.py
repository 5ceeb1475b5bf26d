# SPDX-License-Identifier: Apache-2.0
"""`inferometer sweep`: throughput against latency over a ladder of loads."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption

Loads = Annotated[
    str | None,
    typer.Option(
        "--concurrency",
        metavar="N,N,...|auto",
        help="Closed loop: so many requests in flight, one run each; auto: 1, 2, 4, ... until saturated.",
        rich_help_panel=flags.LOAD,
        show_default=False,
    ),
]
Rates = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="R,R,...|auto",
        help="Open loop: so many requests per second; auto: 10 to 95 % of what it can do.",
        rich_help_panel=flags.LOAD,
        show_default=False,
    ),
]


def sweep(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    concurrency: Loads = None,
    rate: Rates = None,
    arrivals: flags.Arrivals = None,
    for_: flags.For = None,
    warmup: flags.Warmup = None,
    workers: flags.Workers = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    shared_prefix: flags.SharedPrefix = None,
    tokenizer: flags.Tokenizer = None,
    count_tokens: flags.CountTokens = None,
    no_stream: flags.NoStream = None,
    temperature: flags.Temperature = None,
    seed: flags.Seed = None,
    slo: flags.Slo = None,
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
    """Measure throughput against latency over a ladder of loads, up to saturation, with the engine started once.

    Every point is a run of at least --for; its folder lies in that of the sweep. Fits the Universal Scalability Law and
    names the knee, or says that none was seen.
    """
    given = flags.fields_of(locals())
    from inferometer.cli import probing
    from inferometer.probes.sweep import parse_ladder

    ladder = parse_ladder(concurrency, rate)
    first = ladder.loads[0] if ladder.loads else 1
    given["concurrency"] = int(first) if ladder.kind == "concurrency" else None
    given["rate"] = first if ladder.kind == "rate" else None
    common = probing.resolve(given, config)
    if dry_run:
        probing.print_sweep_plan(common, ladder, format)
        return
    sys.exit(probing.sweep(common, ladder, format, is_quiet=quiet))

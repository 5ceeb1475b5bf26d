# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain [TARGET]`: all challenges on one bench, worst first, and a remedy put to the proof."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption

Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Then start the server anew with the worst finding's settings, in turns with those it has, and compare.",
        rich_help_panel=flags.LIMIT,
    ),
]
Only = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="NAMES",
        help="latency, cost, memory, limits, accuracy, scale: these alone, with all of the time.",
        rich_help_panel=flags.LIMIT,
        show_default=False,
    ),
]


def target(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    budget: flags.Budget = None,
    only: Only = None,
    verify: Verify = False,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    tokenizer: flags.Tokenizer = None,
    no_stream: flags.NoStream = None,
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
    """Examine an engine and its model, and say where each of the six challenges of inference bites, worst first.

    Each row has a figure with its interval, the bound it is held against, the cause and what showed it, and what would
    help. Each is a command of its own, too. What could not be measured is listed.
    """
    given = flags.fields_of(locals())
    for name in ("budget", "only", "verify"):
        del given[name]
    from inferometer.cli import examining, explaining, probing
    from inferometer.probes.explain.whole import BUDGET_S

    common = probing.resolve(given, config)
    wish = explaining.Wish(examining.budget_of(budget, BUDGET_S), explaining.challenges_of(only), verify)
    sys.exit(explaining.explain(common, wish, format, is_quiet=quiet))

# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain scale`: throughput over requests in flight, overload and recovery, equal and long prompts."""

from __future__ import annotations

import sys

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption


def scale(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    budget: flags.Budget = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    tokenizer: flags.Tokenizer = None,
    no_stream: flags.NoStream = None,
    temperature: flags.Temperature = None,
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
    """Say how far more requests at a time bring more, what too many do, and what equal or long prompts change."""
    given = flags.fields_of(locals())
    del given["budget"]
    from inferometer.cli import examining, probing
    from inferometer.probes.explain.scale import BUDGET_S

    common = probing.resolve(given, config)
    budget_s = examining.budget_of(budget, BUDGET_S)
    sys.exit(examining.scale(common, budget_s, format, is_quiet=quiet))

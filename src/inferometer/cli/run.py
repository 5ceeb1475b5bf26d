# SPDX-License-Identifier: Apache-2.0
"""`inferometer run`: measure the embedded engine, a running server, or a command that starts one."""

from __future__ import annotations

import sys

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption


def run(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    concurrency: flags.Concurrency = None,
    rate: flags.Rate = None,
    burst: flags.Burst = None,
    arrivals: flags.Arrivals = None,
    requests: flags.Requests = None,
    for_: flags.For = None,
    warmup: flags.Warmup = None,
    repeats: flags.Repeats = None,
    workers: flags.Workers = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    shared_prefix: flags.SharedPrefix = None,
    tokenizer: flags.Tokenizer = None,
    count_tokens: flags.CountTokens = None,
    keep_caches: flags.KeepCaches = None,
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
    scrape_every: flags.ScrapeEvery = None,
    out: flags.Out = None,
    label: flags.Label = None,
    no_content: flags.NoContent = None,
    config: flags.Config = None,
    quiet: flags.Quiet = False,
    dry_run: flags.DryRun = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Measure an engine under load and say how sure each number is.

    Without URL or command the embedded engine (llama.cpp with a small model made on first use) is measured.
    --engine starts one that is known; flags of its own go after --.
    Or put a command after -- to have it started on a free port: inferometer run -- my-server --port {port}
    """
    given = flags.fields_of(locals())

    from inferometer import config as configuration

    experiment = configuration.resolve(given, config)

    from inferometer.cli import outcome  # after the flags are known to be right: it imports nearly everything

    if dry_run:
        outcome.print_dry_run(experiment, format)
    else:
        sys.exit(outcome.measure(experiment, format, is_quiet=quiet))

# SPDX-License-Identifier: Apache-2.0
"""`inferometer ab`: two targets measured in turns, then compared."""

from __future__ import annotations

from typing import Annotated

import typer

from inferometer.cli import flags
from inferometer.cli.options import ComparisonFormat, ComparisonFormatOption, Ignore, Metrics, Tolerance

N_ROUNDS = 8
TargetA = Annotated[
    str,
    typer.Argument(
        metavar="TARGET_A", help="A URL, ENGINE,KNOB=VALUE,..., embedded, or FILE.toml.", show_default=False
    ),
]
TargetB = Annotated[str, typer.Argument(metavar="TARGET_B", help="The same.", show_default=False)]
Rounds = Annotated[
    int | None,
    typer.Option(
        "--repeats",
        metavar="K",
        min=1,
        help=f"Rounds: runs of each target. Default: `repeats` of the targets' files, or {N_ROUNDS}.",
        show_default=False,
    ),
]


def ab(
    target_a: TargetA,
    target_b: TargetB,
    repeats: Rounds = None,
    metrics: Metrics = None,
    tolerance: Tolerance = "5%",
    ignore: Ignore = None,
    model: flags.Model = None,
    api: flags.Api = None,
    concurrency: flags.Concurrency = None,
    rate: flags.Rate = None,
    burst: flags.Burst = None,
    arrivals: flags.Arrivals = None,
    requests: flags.Requests = None,
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
    format: ComparisonFormatOption = ComparisonFormat.TEXT,
) -> None:
    """Measure two targets in turns, drawn by lot so that drift favours neither, and compare them.

    Each turn is a run of its own; an engine that is named is started anew. From 8 rounds on they are compared in pairs.
    """
    given = flags.load_of(locals(), without=_OWN)
    from inferometer.cli import comparing, targets, turns
    from inferometer.secrecy import redact_url
    from inferometer.units import parse_percent

    ignored = comparing.kinds_of(ignore)
    configs = targets.experiment_of(target_a, given, config), targets.experiment_of(target_b, given, config)
    order = turns.Order(
        (redact_url(target_a), redact_url(target_b)),
        configs,
        repeats or targets.rounds_of(configs) or N_ROUNDS,
        ignored,
        comparing.quantities_of(metrics),
        parse_percent(tolerance),
    )
    targets.refuse_unlike(*order.configs, ignored)
    comparing.refuse_too_few(order.n_rounds, order.quantities)
    found, folder = turns.measure(order, out, is_quiet=quiet)
    comparing.print_comparison(found, format.value, next_command=turns.next_command(found, order, folder))


_OWN = ("target_a", "target_b", "repeats", "metrics", "tolerance", "ignore", "out")

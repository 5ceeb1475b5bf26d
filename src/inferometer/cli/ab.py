# SPDX-License-Identifier: Apache-2.0
"""`inferometer ab`: two targets measured in turns, then compared."""

from __future__ import annotations

from typing import Annotated

import typer

from inferometer.cli import flags
from inferometer.cli.options import ComparisonFormat, ComparisonFormatOption, Ignore, Metrics, Tolerance

TargetA = Annotated[
    str,
    typer.Argument(
        metavar="TARGET_A", help="A URL, ENGINE,KNOB=VALUE,..., embedded, or FILE.toml.", show_default=False
    ),
]
TargetB = Annotated[str, typer.Argument(metavar="TARGET_B", help="The same.", show_default=False)]
Rounds = Annotated[int, typer.Option("--repeats", metavar="K", min=1, help="Rounds: runs of each target.")]


def ab(
    target_a: TargetA,
    target_b: TargetB,
    repeats: Rounds = 8,
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
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    shared_prefix: flags.SharedPrefix = None,
    count_tokens: flags.CountTokens = None,
    temperature: flags.Temperature = None,
    seed: flags.Seed = None,
    slo: flags.Slo = None,
    timeout: flags.Timeout = None,
    ready_timeout: flags.ReadyTimeout = None,
    api_key_env: flags.ApiKeyEnv = None,
    keep_caches: flags.KeepCaches = None,
    out: flags.Out = None,
    quiet: flags.Quiet = False,
    format: ComparisonFormatOption = ComparisonFormat.TEXT,
) -> None:
    """Measure two targets in turns, drawn by lot so that drift favours neither, and compare them.

    Each turn is a run of its own; an engine that is named is started anew. From 8 rounds on they are compared in pairs.
    """
    given = {name: value for name, value in locals().items() if name not in _OWN} | {"for": for_}
    from inferometer.cli import comparing, targets, turns
    from inferometer.secrecy import redact_url
    from inferometer.units import parse_percent

    ignored = comparing.kinds_of(ignore)
    order = turns.Order(
        (redact_url(target_a), redact_url(target_b)),
        (targets.experiment_of(target_a, given), targets.experiment_of(target_b, given)),
        repeats,
        ignored,
        comparing.quantities_of(metrics),
        parse_percent(tolerance),
    )
    targets.refuse_unlike(*order.configs, ignored)
    comparing.refuse_too_few(repeats, order.quantities)
    found, folder = turns.measure(order, out, is_quiet=quiet)
    comparing.print_comparison(found, format.value, next_command=turns.next_command(found, order, folder))


_OWN = ("target_a", "target_b", "repeats", "metrics", "tolerance", "ignore", "out", "quiet", "format", "for_")

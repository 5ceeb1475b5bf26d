# SPDX-License-Identifier: Apache-2.0
"""`inferometer choose`: which engine, which configuration, at what load, and how sure that is."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

import typer

from inferometer.cli import flags
from inferometer.cli.limit import Attainment
from inferometer.cli.options import Format, FormatOption, Ignore, RunsIn, Tolerance
from inferometer.errors import UsageError
from inferometer.units import parse_duration_s, parse_percent

CANDIDATES, CHOICE = "Candidates", "Choice"


def _option(*names: str, help: str, panel: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TARGET ...]", help="URLs, ENGINE,KNOB=VALUE,..., embedded, or FILE.toml.", show_default=False
    ),
]
Engines = Annotated[
    str | None,
    _option(
        "--engines",
        metavar="NAMES",
        help="Engines with commas between; without any candidate: all that can be started.",
        panel=CANDIDATES,
    ),
]
Configs = Annotated[
    str | None,
    _option("--configs", metavar="FILE", help="TOML file with a table per configuration.", panel=CANDIDATES),
]
Runs = Annotated[
    list[str] | None,
    _option(
        "--run", metavar="DIR", help="A run measured elsewhere, or a folder of runs; repeatable.", panel=CANDIDATES
    ),
]
Workloads = Annotated[
    list[str] | None,
    _option(
        "--workload",
        metavar="NAME|FILE|IN/OUT",
        help="default, chat, code, summarize, prompts.jsonl, or 512/uniform:16-64. The first decides; more show "
        "whether it flips.",
        panel=flags.LENGTH,
    ),
]
Slo = Annotated[
    str | None,
    _option(
        "--slo",
        metavar="LIMITS|PRESET",
        help="Limits on every request: 'ttft<500ms,tpot<50ms'; or chat, code, batch, mlperf-MODEL-SCENARIO.",
        panel=flags.LIMIT,
    ),
]
Loads = Annotated[
    str | None,
    _option("--concurrency", metavar="N,N,...", help="Loads, as requests in flight. Default 1,4,16.", panel=flags.LOAD),
]
Rates = Annotated[
    str | None, _option("--rate", metavar="R,R,...", help="Loads, as requests per second.", panel=flags.LOAD)
]
Price = Annotated[
    str | None,
    _option("--price", metavar="P/h", help="Of a device-hour, 2.5/h: goodput is then per price.", panel=CHOICE),
]
Weigh = Annotated[
    str | None,
    _option(
        "--weigh",
        metavar="NAME=W,...",
        help="throughput (alone by default), ttft, tpot, e2e, start, memory, ease.",
        panel=CHOICE,
    ),
]
Budget = Annotated[
    str, _option("--budget", metavar="TIME", help="How long to measure at most. Default 30m.", panel=CHOICE)
]


def choose(
    targets: Targets = None,
    engines: Engines = None,
    configs: Configs = None,
    run: Runs = None,
    runs: RunsIn = "inferometer-runs",
    model: flags.Model = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    workload: Workloads = None,
    input_tokens: flags.InputTokens = None,
    output_tokens: flags.OutputTokens = None,
    shared_prefix: flags.SharedPrefix = None,
    slo: Slo = None,
    attainment: Attainment = None,
    concurrency: Loads = None,
    rate: Rates = None,
    arrivals: flags.Arrivals = None,
    price: Price = None,
    weigh: Weigh = None,
    tolerance: Tolerance = "5%",
    ignore: Ignore = None,
    budget: Budget = "30m",
    for_: flags.For = None,
    warmup: flags.Warmup = None,
    tokenizer: flags.Tokenizer = None,
    temperature: flags.Temperature = None,
    timeout: flags.Timeout = None,
    stall_timeout: flags.StallTimeout = None,
    ready_timeout: flags.ReadyTimeout = None,
    api_key_env: flags.ApiKeyEnv = None,
    keep_caches: flags.KeepCaches = None,
    no_content: flags.NoContent = None,
    out: flags.Out = None,
    dry_run: flags.DryRun = False,
    quiet: flags.Quiet = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Say which engine and configuration to prefer: by goodput within limits, with its interval, and where it flips.

    What cannot run here is left out, and why. The rest takes turns: started, asked at every load, stopped; round after
    round, until the intervals separate them or the budget is spent.
    """
    from inferometer import config as configuration
    from inferometer.cli import candidates, choosing, comparing
    from inferometer.metrics.slo_presets import parse_objective
    from inferometer.probes.sweep import Ladder, parse_ladder
    from inferometer.secrecy import redact_argv

    if slo is None:
        raise UsageError("choose has no limits to choose within", "give them: --slo 'ttft<500ms,tpot<50ms', or chat")
    objective = parse_objective(slo, attainment)
    is_default = concurrency is None and rate is None
    ladder = Ladder("concurrency", choosing.DEFAULT_LOADS) if is_default else parse_ladder(concurrency, rate)
    if ladder.is_auto:
        raise UsageError("the loads of a choice are the same for all candidates", "give them: --concurrency 1,4,16")
    given = {
        "model": model,
        "revision": revision,
        "api": api,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "shared_prefix": shared_prefix,
        "arrivals": arrivals,
        "slo": objective.limits.text,
        "tokenizer": tokenizer,
        "temperature": temperature,
        "timeout": timeout,
        "stall_timeout": stall_timeout,
        "ready_timeout": ready_timeout,
        "api_key_env": api_key_env,
        "keep_caches": keep_caches,
        "keeps_content": None if no_content is None else not no_content,
    }
    given = choosing.load_of(given, ladder)
    common = configuration.resolve({key: value for key, value in given.items() if key != "revision"})
    asked = choosing.Asked(
        objective,
        choosing.workloads_of(workload or (), common),
        ladder,
        choosing.weights_of(weigh),
        parse_percent(tolerance),
        parse_duration_s(budget),
        None if for_ is None else parse_duration_s(for_),
        choosing.WARMUP_S if warmup is None else parse_duration_s(warmup),
        comparing.kinds_of(ignore),
        shlex.join(["inferometer", *redact_argv(sys.argv[1:])]),
        out,
    )
    wanted = candidates.Wanted(
        targets or (),
        [name.strip() for name in (engines or "").split(",") if name.strip()],
        candidates.read_configs(configs),
        run or (),
        runs,
        given,
        None if price is None else candidates.parse_price(price),
    )
    gathered = candidates.gather(wanted)
    if dry_run:
        choosing.plan(asked, gathered)
    else:
        sys.exit(choosing.choose(asked, gathered, format.value, is_quiet=quiet))

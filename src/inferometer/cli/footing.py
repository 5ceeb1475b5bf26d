# SPDX-License-Identifier: Apache-2.0
"""What `explain memory` and `explain cost` do with a running engine: from flags to what is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from inferometer.cli import examining, known, probing
from inferometer.cli.options import Format
from inferometer.config import Experiment
from inferometer.embedded import models as embedded_models
from inferometer.engines.registry import engine_named
from inferometer.errors import UsageError
from inferometer.host.description import Description, devices
from inferometer.metrics.slo_presets import parse_objective
from inferometer.model.devices import find
from inferometer.model.formats import kv_format
from inferometer.plan.lengths import parse_lengths
from inferometer.probes.bench import Bench
from inferometer.probes.explain import cost as costs
from inferometer.probes.explain import memory as memories
from inferometer.units import parse_price_per_hour, parse_prices

EMBEDDED, EMBEDDED_ENGINE = "embedded", "llamacpp"


def refuse(why: str, given: Mapping[str, Any]) -> None:
    """Raises: UsageError for the first that was given."""
    if unused := [flag for flag, value in given.items() if value is not None]:
        raise UsageError(f"{unused[0]} means nothing here: {why}", "drop it")


def fields_of(url: str | None, engine: str | None, model: str | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an Experiment. `flags`: by their own names. Raises: UsageError for a URL and an engine together."""
    if url is not None and engine is not None:
        raise UsageError("a URL and --engine are two engines", "give one of them")
    if engine == EMBEDDED:  # by its own name, so that it can be told to print what it takes
        engine, model = EMBEDDED_ENGINE, model or embedded_models.DEFAULT_MODEL
    fields = {flag.removeprefix("--").replace("-", "_"): value for flag, value in flags.items()}
    for name in ("budget", "model_file", "concurrency"):
        fields.pop(name, None)
    return fields | {"url": url, "engine": engine, "model": model}


def memory(
    given: Mapping[str, Any],
    model_file: str | None,
    kv: str | None,
    concurrency: int | None,
    budget: str | None,
    format: Format,
    *,
    is_quiet: bool,
) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError."""
    config = telling(probing.resolve(given, None))
    budget_s = examining.budget_of(budget, memories.BUDGET_S)
    wish = memories.MemoryWish(_description(model_file), None if kv is None else kv_format(kv), concurrency, budget_s)
    inputs, outputs = memories.lengths_of(config, None)
    greatest = replace(
        config,
        rate=None,
        concurrency=concurrency or memories.STARTED,
        input_tokens=inputs,
        output_tokens=outputs,
    )

    def work(at: Bench) -> msgspec.Struct:
        return memories.examine(at, wish)

    return examining.examine(probing.MEMORY, config, greatest, budget_s, format, work, what="memory", is_quiet=is_quiet)


def cost(
    given: Mapping[str, Any],
    model_file: str | None,
    device: str | None,
    n_devices: int | None,
    kv: str | None,
    concurrency: int | None,
    price: str | None,
    api_price: str | None,
    slo: str | None,
    budget: str | None,
    format: Format,
    *,
    is_quiet: bool,
) -> int:
    """Returns the exit code. Raises: UsageError, EngineError, RunError."""
    config = probing.resolve(given, None)
    budget_s = examining.budget_of(budget, costs.BUDGET_S if slo is None else costs.SEARCH_BUDGET_S)
    if price is None and (slo is not None or api_price is not None):
        raise UsageError(f"{'--slo' if slo else '--api-price'} is about a price", "give one: --price 2.5/h")
    wish = costs.CostWish(
        _description(model_file),
        None if device is None else find(device, devices())[0],
        n_devices,
        None if kv is None else kv_format(kv),
        concurrency,
        None if price is None else parse_price_per_hour(price),
        None if api_price is None else parse_prices(api_price),
        None if slo is None else parse_objective(slo, None),
        budget_s,
    )
    longest = max(config.input_tokens, str(costs.LONG_TOKENS), key=_mean)
    greatest = replace(config, rate=None, concurrency=concurrency or costs.STARTED, input_tokens=longest)

    def work(at: Bench) -> msgspec.Struct:
        return costs.examine(at, wish)

    return examining.examine(probing.COST, config, greatest, budget_s, format, work, what="cost", is_quiet=is_quiet)


def _mean(lengths: str) -> float:
    return parse_lengths(lengths).mean


def _description(model_file: str | None) -> Description | None:
    return None if model_file is None else known.model_of(model_file)


def telling(config: Experiment) -> Experiment:
    """The same, with what makes an engine that is started here print what it takes."""
    plan = engine_named(config.engine).launch if config.engine is not None else None
    words = plan.tells_memory if plan is not None else ()
    if not words or words[0] in config.command:
        return config
    return replace(config, command=(*config.command, *words))

# SPDX-License-Identifier: Apache-2.0
"""The flags of `run`, one type each: name, unit, default and meaning. docs/reference/cli.md is checked against them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import typer

LOAD, LENGTH, LIMIT, SERVER, OUTPUT = "Load", "Lengths", "Limits", "Server", "Output"


def _option(*names: str, help: str, panel: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


Url = Annotated[
    str | None,
    typer.Argument(
        metavar="[URL | -- CMD ...]", help="A running server; none: the embedded engine.", show_default=False
    ),
]
Model = Annotated[
    str | None,
    _option(
        "--model",
        metavar="NAME",
        help="Model to ask for; default: the server's own. With --engine: a GGUF file, a folder, or owner/name on the "
        "hub. Embedded: trained, trained-f16, trained-q4_0 or random.",
        panel=SERVER,
    ),
]
Engine = Annotated[
    str | None,
    _option("--engine", metavar="NAME", help="Engine to start and stop, see `inferometer engines`.", panel=SERVER),
]
Set = Annotated[
    list[str] | None,
    _option("--set", metavar="KNOB=VALUE", help="Setting of the started engine; may be repeated.", panel=SERVER),
]
Revision = Annotated[
    str | None,
    _option("--revision", metavar="COMMIT", help="Commit or branch of a model on the hub. Default main.", panel=SERVER),
]
ModelFile = Annotated[
    str | None,
    _option("--model", metavar="MODEL", help="A GGUF file, a folder, or owner/name on the hub.", panel=SERVER),
]
Api = Annotated[
    str | None,
    _option(
        "--api",
        metavar="chat|completions|native|native-chat",
        help="API to use; default: chat if the server has it. native: the engine's own.",
        panel=SERVER,
    ),
]
CountTokens = Annotated[
    bool | None,
    _option(
        "--count-tokens",
        help="Have every event tell its tokens, where the engine can: gaps per token, longer answers.",
        panel=LENGTH,
    ),
]
KeepCaches = Annotated[
    bool | None,
    _option(
        "--keep-caches",
        help="Do not have the server empty its prefix cache when it may know the prompts.",
        panel=SERVER,
    ),
]
Concurrency = Annotated[
    int | None,
    _option("--concurrency", metavar="N", help="Closed loop: keep N requests in flight. Default 4.", panel=LOAD),
]
Rate = Annotated[
    float | None, _option("--rate", metavar="R", help="Open loop: R requests per second, whatever happens.", panel=LOAD)
]
Burst = Annotated[bool | None, _option("--burst", help="Send all requests at once (offline throughput).", panel=LOAD)]
Workers = Annotated[
    str | None,
    _option(
        "--workers",
        metavar="N|auto",
        help="Client processes. Default auto: 1 unless the load asks for more and cores are spare.",
        panel=LOAD,
    ),
]
Arrivals = Annotated[
    str | None,
    _option(
        "--arrivals",
        metavar="LAW",
        help="poisson (default), constant, gamma:CV or surge:X,FROM,UNTIL; with --rate.",
        panel=LOAD,
    ),
]
Requests = Annotated[int | None, _option("--requests", metavar="N", help="Stop after N measured requests.", panel=LOAD)]
For = Annotated[str | None, _option("--for", metavar="TIME", help="Measure for so long. Default 30s.", panel=LOAD)]
Warmup = Annotated[
    str | None,
    _option("--warmup", metavar="N|TIME", help="Warm up first with N requests or for a time. Default 3s.", panel=LOAD),
]
Repeats = Annotated[
    int | None, _option("--repeats", metavar="K", help="Run K trials; intervals are then over trials.", panel=LOAD)
]
InputTokens = Annotated[
    str | None,
    _option(
        "--input-tokens",
        metavar="SPEC",
        help="128, uniform:100-200, normal:512,64, lognormal:512,0.6, file:prompts.jsonl.",
        panel=LENGTH,
    ),
]
OutputTokens = Annotated[
    str | None,
    _option("--output-tokens", metavar="SPEC", help="As --input-tokens. Default uniform:32-64.", panel=LENGTH),
]
SharedPrefix = Annotated[
    int | None,
    _option("--shared-prefix", metavar="N", help="Let all prompts share their first N tokens.", panel=LENGTH),
]
Tokenizer = Annotated[
    str | None,
    _option("--tokenizer", metavar="FILE", help="tokenizer.json to count with when the server cannot.", panel=LENGTH),
]
NoStream = Annotated[bool | None, _option("--no-stream", help="Ask for answers in one piece.", panel=SERVER)]
Temperature = Annotated[float | None, _option("--temperature", metavar="T", help="Default 0 (greedy).", panel=LENGTH)]
Seed = Annotated[
    int | None,
    _option(
        "--seed",
        metavar="N",
        help="Make the very same requests again. Default: lengths and arrivals of seed 0, fresh words.",
        panel=LENGTH,
    ),
]
Slo = Annotated[
    str | None,
    _option(
        "--slo",
        metavar="LIMITS",
        help="'ttft<500ms,tpot<50ms' per request; 'ttft_p99<500ms' passes or fails the run.",
        panel=LIMIT,
    ),
]
Budget = Annotated[str | None, _option("--budget", metavar="TIME", help="How long it may take, about.", panel=LIMIT)]
Timeout = Annotated[
    str | None, _option("--timeout", metavar="TIME", help="Deadline of a request. Default 60s.", panel=LIMIT)
]
StallTimeout = Annotated[
    str | None,
    _option("--stall-timeout", metavar="TIME", help="Longest silence of a request. Default 30s.", panel=LIMIT),
]
ReadyTimeout = Annotated[
    str | None,
    _option(
        "--ready-timeout",
        metavar="TIME",
        help="How long a started server may take. Default 300s; with --engine, its own.",
        panel=SERVER,
    ),
]
Header = Annotated[
    list[str] | None,
    _option("--header", metavar="K:V", help="Extra header; may be repeated. Values are never kept.", panel=SERVER),
]
ApiKeyEnv = Annotated[
    str | None,
    _option("--api-key-env", metavar="NAME", help="Environment variable that holds the API key.", panel=SERVER),
]
Insecure = Annotated[bool | None, _option("--insecure", help="Do not check the server's certificate.", panel=SERVER)]
Out = Annotated[
    str | None,
    _option(
        "--out", metavar="DIR", help="Folder of the run; default: a new one under ./inferometer-runs.", panel=OUTPUT
    ),
]
Label = Annotated[
    str | None,
    _option(
        "--label",
        metavar="NAME",
        help="Name under which compare, gate and history find this run; the git revision here is noted with it.",
        panel=OUTPUT,
    ),
]
ScrapeEvery = Annotated[
    str | None,
    _option(
        "--scrape-every",
        metavar="TIME",
        help="How often the server's own gauges are read; off: never. Default 1s.",
        panel=OUTPUT,
    ),
]
NoContent = Annotated[
    bool | None,
    _option("--no-content", help="Keep neither prompts nor answers on disk, only sizes and stamps.", panel=OUTPUT),
]
Config = Annotated[
    str | None, _option("--config", metavar="FILE", help="TOML file with the same names; flags win.", panel=OUTPUT)
]
Quiet = Annotated[bool, _option("--quiet", help="No progress, only the result.", panel=OUTPUT)]
DryRun = Annotated[
    bool,
    _option(
        "--dry-run", help="Say what would be sent, for how long, with how much memory; send nothing.", panel=OUTPUT
    ),
]

_NOT_FIELDS = ("context", "config", "format", "quiet", "dry_run", "for_", "set_", "no_stream", "no_content")


def fields_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a verb as fields of an Experiment, under the names of their flags."""
    whom = {"command": parameters["context"].obj or None, "set": parameters["set_"]}
    return load_of(parameters) | whom


def load_of(parameters: Mapping[str, Any], *, without: Collection[str] = ()) -> dict[str, Any]:
    """The same of a verb that is told whom to measure in another way. `without`: parameters that are no fields."""
    fields = {name: value for name, value in parameters.items() if name not in (*_NOT_FIELDS, *without)}
    no_stream, no_content = parameters["no_stream"], parameters["no_content"]
    return fields | {
        "for": parameters.get("for_"),
        "is_streamed": None if no_stream is None else not no_stream,
        "keeps_content": None if no_content is None else not no_content,
    }

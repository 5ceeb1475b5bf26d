# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain accuracy`: the same answers, right answers, invented answers; alone, under load, elsewhere."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.tasks import Task

ASKED = "Questions"


def _option(*names: str, help: str, metavar: str) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=ASKED, show_default=False)


Items = Annotated[int | None, _option("--items", metavar="N", help="Questions of each task, at most. Default 60.")]
Tasks = Annotated[
    str | None,
    _option("--tasks", metavar="NAME,...", help="Of retrieval, copying, arithmetic, grounded, unknown. Default: all."),
]
PromptTokens = Annotated[
    int | None, _option("--prompt-tokens", metavar="N", help="Make prompts as long. Default: short, 60 to 250.")
]
AnswerTokens = Annotated[
    int | None, _option("--answer-tokens", metavar="N", help="Tokens of an answer at most. Default 64.")
]
Concurrency = Annotated[
    int | None, _option("--concurrency", metavar="N", help="The load: so many in flight. Default 8.")
]
Grounded = Annotated[
    str | None,
    _option("--grounded", metavar="FILE", help="Your own questions with texts, JSON lines, in place of made-up ones."),
]
AgainstOption = Annotated[
    str | None,
    _option(
        "--against",
        metavar="TARGET",
        help="Ask another the same: a URL, ENGINE,KNOB=VALUE,..., embedded,model=trained-q4_0, or FILE.toml.",
    ),
]
_TARGET = ("url", "engine", "model", "set", "revision", "api", "command", "header", "api_key_env", "insecure", "out")
MIN_ITEMS = 10


def accuracy(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    items: Items = None,
    tasks: Tasks = None,
    prompt_tokens: PromptTokens = None,
    answer_tokens: AnswerTokens = None,
    concurrency: Concurrency = None,
    grounded: Grounded = None,
    against: AgainstOption = None,
    budget: flags.Budget = None,
    seed: flags.Seed = None,
    timeout: flags.Timeout = None,
    stall_timeout: flags.StallTimeout = None,
    ready_timeout: flags.ReadyTimeout = None,
    header: flags.Header = None,
    api_key_env: flags.ApiKeyEnv = None,
    insecure: flags.Insecure = None,
    out: flags.Out = None,
    config: flags.Config = None,
    quiet: flags.Quiet = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Find out whether answers are right, are the same under load or elsewhere, and are invented where there is none.

    Questions are made, and judged without a judge; each is asked alone, again alone, and with others in flight.
    """
    given = flags.fields_of(locals() | {"no_stream": None, "no_content": None})
    for name in ("items", "tasks", "prompt_tokens", "answer_tokens", "concurrency", "grounded", "against", "budget"):
        del given[name]
    from inferometer.cli import examining, probing, targets
    from inferometer.probes.explain import accuracy as asking
    from inferometer.tasks.own import read_own

    n_items = _whole("--items", items, asking.N_ITEMS, MIN_ITEMS, asking.MOST_ITEMS)
    wish = asking.Wish(
        tasks=_tasks(tasks),
        n_items=n_items,
        n_tokens=None if prompt_tokens is None else _whole("--prompt-tokens", prompt_tokens, 0, 64, 1_000_000),
        answer_tokens=_whole("--answer-tokens", answer_tokens, asking.ANSWER_TOKENS, 1, 100_000),
        concurrency=_whole("--concurrency", concurrency, asking.CONCURRENCY, 2, 1_024),
        own=() if grounded is None else read_own(Path(grounded)),
        against=against or "",
        budget_s=examining.budget_of(budget, asking.BUDGET_S),
    )
    common = probing.resolve(given, config)
    other = None
    if against is not None:
        shared = {name: value for name, value in given.items() if name not in _TARGET}
        other = targets.experiment_of(against, shared)
    sys.exit(examining.accuracy(common, replace(wish, seed=common.plan_seed), other, format, is_quiet=quiet))


def _whole(flag: str, value: int | None, default: int, least: int, most: int) -> int:
    if value is None:
        return default
    if not least <= value <= most:
        raise UsageError(f"{flag} {value} makes no sense here", f"give {least} to {most:,}")
    return value


def _tasks(text: str | None) -> tuple[Task, ...]:
    """Raises: UsageError."""
    from inferometer.tasks import Task

    if text is None:
        return tuple(Task)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Task)]
    if unknown or not names:
        what = f"there is no task {unknown[0]!r}" if unknown else "--tasks names none"
        raise UsageError(what, f"choose of {', '.join(Task)}")
    return tuple(dict.fromkeys(Task(name) for name in names))

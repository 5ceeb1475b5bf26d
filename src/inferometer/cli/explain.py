# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain ...`: where a challenge of inference bites, one command each; without one, all of them."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from inferometer.cli import (
    explain_accuracy,
    explain_cost,
    explain_latency,
    explain_limits,
    explain_memory,
    explain_scale,
    explain_target,
)

ALL = "target"  # the command that is meant where none is named


class Challenges(TyperGroup):
    """`explain URL` is `explain target URL`: a word that names no command is for the one that examines all."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] and args[0] in ctx.help_option_names else meant(args))


def meant(args: list[str]) -> list[str]:
    """The same with the command that examines all, where none is named."""
    names = {command.name for command in app.registered_commands}
    return args if args and args[0] in names else [ALL, *args]


app = typer.Typer(
    cls=Challenges, help="Explain what limits a model or an engine, and what would help.", rich_markup_mode=None
)
app.command(ALL, short_help="All six on one screen, worst first.")(explain_target.target)
app.command("latency", short_help="What TTFT and TPOT are made of, and what binds them.")(explain_latency.latency)
app.command("cost", short_help="FLOPs, bytes and money of a token, bound and measured.")(explain_cost.cost)
app.command("memory", short_help="How many sequences fit, predicted and measured.")(explain_memory.memory)
app.command("limits", short_help="The real context, and the length that answers stay right.")(explain_limits.limits)
app.command("accuracy", short_help="Are answers right, and the same under load?")(explain_accuracy.accuracy)
app.command("scale", short_help="What more at a time brings, and what too many do.")(explain_scale.scale)


@app.callback()
def _top() -> None:
    """Explain what limits a model or an engine, and what would help.

    Without the name of a command: examine a server for all of it, as `explain target` does.
    """

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
app.command(ALL)(explain_target.target)
app.command("latency")(explain_latency.latency)
app.command("cost")(explain_cost.cost)
app.command("memory")(explain_memory.memory)
app.command("limits")(explain_limits.limits)
app.command("accuracy")(explain_accuracy.accuracy)
app.command("scale")(explain_scale.scale)


@app.callback()
def _top() -> None:
    """Explain what limits a model or an engine, and what would help.

    Without the name of a command: examine a server for all of it, as `explain target` does.
    """

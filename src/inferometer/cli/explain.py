# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain ...`: where a challenge of inference bites, one command each."""

from __future__ import annotations

import typer

from inferometer.cli import explain_cost, explain_latency, explain_limits, explain_memory

app = typer.Typer(
    help="Explain what limits a model or an engine, and what would help.", no_args_is_help=True, rich_markup_mode=None
)
app.command("latency")(explain_latency.latency)
app.command("memory")(explain_memory.memory)
app.command("cost")(explain_cost.cost)
app.command("limits")(explain_limits.limits)


@app.callback()
def _top() -> None:
    """Explain what limits a model or an engine, and what would help."""

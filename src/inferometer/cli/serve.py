# SPDX-License-Identifier: Apache-2.0
"""`inferometer serve`: start an engine with settings that avoid its traps, and keep it until told to stop."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from inferometer.cli import flags

EngineName: TypeAlias = Annotated[str, typer.Argument(metavar="ENGINE", help="Name of an engine, as in `engines`.")]
Port: TypeAlias = Annotated[
    int | None,
    typer.Option("--port", metavar="N", help="Port on loopback. Default: a free one.", show_default=False),
]
Log: TypeAlias = Annotated[
    str | None,
    typer.Option("--log", metavar="FILE", help="Where its output goes. Default: a new file in the temporary folder."),
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Print the exact command; start nothing.")]


def serve(
    context: typer.Context,
    engine: EngineName,
    model: flags.ModelFile = None,
    revision: flags.Revision = None,
    set_: flags.Set = None,
    port: Port = None,
    ready_timeout: flags.ReadyTimeout = None,
    log: Log = None,
    dry_run: DryRun = False,
) -> None:
    """Start an engine, wait until it answers, and stop it with all its children when you press Ctrl-C.

    What stands after -- is passed on to the engine: inferometer serve llamacpp --model m.gguf -- --flash-attn on
    """
    from inferometer.cli import serving

    code = serving.serve(
        engine,
        model,
        set_ or (),
        context.obj or (),
        revision=revision,
        port=port,
        ready_timeout=ready_timeout,
        log=log,
        is_dry=dry_run,
    )
    raise typer.Exit(code)

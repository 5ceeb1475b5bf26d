# SPDX-License-Identifier: Apache-2.0
"""`inferometer emulate ENGINE`: a server that looks like an engine, to rehearse a benchmark without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def emulate(
    engine: Annotated[str, typer.Argument(metavar="ENGINE", help="Which engine; a wrong one is answered with a list.")],
    port: Annotated[int | None, typer.Option(metavar="P", help="Default: the engine's own; 0: any free one.")] = None,
    model_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of its model. Default emulated.")] = None,
    slots: Annotated[
        int, typer.Option(metavar="N", min=1, max=4096, help="Requests served at a time. Default 16.")
    ] = 16,
    context: Annotated[
        int | None,
        typer.Option(metavar="N", min=64, help="Tokens of a prompt and its answer. Default 8192; Ollama 4096."),
    ] = None,
    kv_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=64, help="Room for keys and values. Default: slots times context.")
    ] = None,
    service_law: Annotated[
        str, typer.Option(metavar="LAW", help="Milliseconds of an iteration: a=8,b=0.05,c=0.2,d=0.0001,noise=0.1.")
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", help="Of what the model says, and of noise.")] = 0,
    mind: Annotated[
        str, typer.Option(metavar="NAME", help="words: random ones (default); reader: answers our own tasks right.")
    ] = "words",
    without_traps: Annotated[
        list[str] | None, typer.Option("--without", metavar="TRAP", help="Leave out a trap; may be repeated.")
    ] = None,
    with_traps: Annotated[
        list[str] | None, typer.Option("--with", metavar="TRAP", help="Set one that takes an option of the engine.")
    ] = None,
    defects: Annotated[
        list[str] | None, typer.Option("--defect", metavar="NAME", help="Plant a fault in it; may be repeated.")
    ] = None,
    throttled_after: Annotated[
        str, typer.Option(metavar="TIME", help="Of work, when --defect throttles begins. Default 60s.")
    ] = "60s",
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write when every byte was sent, in the end.")
    ] = None,
) -> None:
    """Serve as that engine would, at 127.0.0.1, with a queue and a service law in place of a model. Ctrl-C ends it."""
    from inferometer.emulate import server
    from inferometer.emulate.catalogue import emulation_of, make_setting
    from inferometer.emulate.law import read_law
    from inferometer.errors import EngineError, UsageError
    from inferometer.units import parse_duration_s

    emulation = emulation_of(engine)
    setting = make_setting(
        engine,
        model=model_name,
        slots=slots,
        context=context,
        kv_tokens=kv_tokens,
        law=read_law(service_law),
        seed=seed,
        mind=mind,
        with_traps=with_traps or (),
        without_traps=without_traps or (),
        defects=defects or (),
        throttled_after_s=parse_duration_s(throttled_after),
    )
    if log is not None and not log.absolute().parent.is_dir():
        raise UsageError(f"--log: there is no folder {log.parent}", "make it, or write elsewhere")
    port = emulation.port if port is None else port
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port: {port} is no port", "write a number up to 65535, or 0 for any free one")
    try:
        server.run(setting, host="127.0.0.1", port=port, log=log, stay=True)
    except OSError as error:
        raise EngineError(f"port {port} cannot be had ({error.strerror})", "choose another by --port, or 0") from error

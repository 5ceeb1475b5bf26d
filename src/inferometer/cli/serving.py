# SPDX-License-Identifier: Apache-2.0
"""What `inferometer serve` does: the command printed, or the engine started, announced, and kept until told to stop."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inferometer.cli.live import Live
from inferometer.clock import sleep_s
from inferometer.engines.knobs import written
from inferometer.errors import EngineError, UsageError
from inferometer.experiment.starting import OPTIONS, Load, Start, launched, prepare
from inferometer.host.environment import n_cores_usable
from inferometer.host.launch import Server
from inferometer.secrecy import redact_argv
from inferometer.units import format_bytes, parse_duration_s

_CONNECTIONS = 256  # that an engine has threads for, where nobody says how many will come
_CONCURRENCY = 8
_CONTEXT_TOKENS = 4096
_LOOK_EVERY_S = 0.2


def serve(
    engine: str,
    model: str | None,
    settings: Sequence[str],
    extra: Sequence[str],
    *,
    revision: str | None,
    port: int | None,
    ready_timeout: str | None,
    log: str | None,
    is_dry: bool,
) -> int:
    """Returns the exit code: 0 when it was stopped by the user.

    Raises: UsageError, EngineError.
    """
    ready_within_s = None if ready_timeout is None else parse_duration_s(ready_timeout)
    load = Load(_CONNECTIONS, _CONCURRENCY, _CONTEXT_TOKENS, n_cores_usable())
    if log and not Path(log).parent.is_dir():
        raise UsageError(f"there is no folder {Path(log).parent} for the log", "make it, or leave --log out")
    start = prepare(engine, model, settings, extra, load, port=port, revision=revision, is_dry=is_dry)
    if is_dry:
        _print_command(start)
        return 0
    if start.obstacles:
        raise start.obstacles[0]
    return _keep(start, Path(log) if log else _new_log(start), ready_within_s)


def _print_command(start: Start) -> None:
    variables = [f"{name}={value}" for name, value in start.order.env.items()]
    print(shlex.join([*(["env", *variables] if variables else []), *redact_argv(start.order.words)]))
    if start.order.options:
        print(f"inferometer: {OPTIONS} would hold {json.dumps(start.order.options)}", file=sys.stderr)
    for obstacle in start.obstacles:
        print(f"inferometer: not now: {obstacle}\n  -> {obstacle.remedy}", file=sys.stderr)


def _new_log(start: Start) -> Path:
    """Readable for its owner only: engines may print prompts."""
    handle, name = tempfile.mkstemp(prefix=f"inferometer-{start.engine.name}-", suffix=".log")
    os.close(handle)
    return Path(name)


def _keep(start: Start, log_path: Path, ready_within_s: float | None) -> int:
    """Start it, say so, and wait."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C
    view = Live(sys.stderr)
    view.say(f"starting  {start.engine.title} {start.version or start.image}, model {start.model.name}")
    if start.order.left_out:
        view.say(f"left out  {', '.join(start.order.left_out)}: this version does not know them")
    try:
        with launched(start, log_path, ready_within_s=ready_within_s, on_wait=view.on_start) as server:
            view.close()
            print(_told(start, server), flush=True)
            while server.is_running:
                sleep_s(_LOOK_EVERY_S)
            lines = "".join(f"\n    | {line}" for line in server.last_lines())
            raise EngineError(f"the engine ended with exit code {server.exit_code}", f"see {log_path}{lines}")
    except KeyboardInterrupt:
        view.close()
        print("inferometer: stopped", file=sys.stderr)
        return 0


def _told(start: Start, server: Server) -> str:
    memory = server.peak_memory_bytes()
    settings = ", ".join(f"{name}={written(value)}" for name, value in start.settings.items())
    lines = [
        f"ready     {start.url} after {server.ready_s:.2f} s"
        + (f", {format_bytes(memory)} of memory at most" if memory else ""),
        f"model     {start.model.name}" + (f" at {start.model.revision}" if start.model.revision else ""),
        *([f"set       {settings}"] if settings else []),
        f"command   {shlex.join(server.argv)}",
        f"log       {server.log_path}",
        f"next      inferometer run {start.url}     (Ctrl-C here stops the engine)",
    ]
    return "\n".join(lines)

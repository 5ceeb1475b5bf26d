# SPDX-License-Identifier: Apache-2.0
"""The tool in a process that has imported it already: it forks for each command, which is then a process of its own.

What a test of the command line asks is the command's doing; to import all it needs takes most of a second each time.
One line of JSON on stdin is one command: its arguments, folder, environment and the files for what it says. Answered
are two lines: its process id, and its exit status when it has ended. `conftest.Shell` asks (docs/decisions/013).
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import pkgutil
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx

import inferometer
from inferometer.cli.main import app, main

LEFT_OUT = "inferometer.__main__"  # which is `main()`


def import_all() -> None:
    """All of ours, and by a client and a look at the help what libraries import late. What is there then the collector
    leaves alone: each child would copy it all just to count it."""
    for module in pkgutil.walk_packages(inferometer.__path__, "inferometer."):
        if module.name != LEFT_OUT:
            import_module(module.name)
    with contextlib.redirect_stdout(io.StringIO()), httpx.Client():
        app(args=["run", "--help"], standalone_mode=False)
    gc.freeze()


def wait_for_order() -> dict[str, Any]:
    """Returns in a child, with what it is to do; the parent ends with its stdin."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return dict(json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    sys.exit()


def become(order: dict[str, Any]) -> None:
    """What `python -m inferometer ARGS` has in this folder and environment."""
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, path in ((1, order["stdout"]), (2, order["stderr"])):
        with Path(path).open("wb") as sink:
            os.dup2(sink.fileno(), number)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.argv = ["inferometer", *order["args"]]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import_all()
    become(wait_for_order())
    main()

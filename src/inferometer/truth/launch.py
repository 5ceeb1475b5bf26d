# SPDX-License-Identifier: Apache-2.0
"""The ground-truth server as a child process: started on a free port, stopped with its log in hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from inferometer.errors import EngineError
from inferometer.truth.log import TruthLog, read_log
from inferometer.truth.options import to_flags
from inferometer.truth.script import PRESETS, Prescription

STOP_WITHIN_S = 30.0  # a log of ten million sends takes a few seconds to write


class LoggedServer:
    """A server that says `listening on URL` and writes a log of what it sent when it is told to end; for use with
    `with`. `command(log)`: how it is started; `what`: it, for messages; `remedy`: what to try if it does not start;
    `read`: what its log is read with.

    `url`: where it listens. Raises: EngineError if it does not start, or does not stop and write its log.
    """

    def __init__(
        self,
        command: Callable[[Path], list[str]],
        what: str,
        remedy: str,
        *,
        read: Callable[[Path], TruthLog] = read_log,
        stop_within_s: float = STOP_WITHIN_S,
    ) -> None:
        self._what = what
        self._read = read
        self._stop_within_s = stop_within_s
        self._folder = tempfile.TemporaryDirectory(prefix="inferometer-truth-")
        self._log = Path(self._folder.name) / "truth.log"
        self._process = subprocess.Popen(command(self._log), stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout else ""
        _, _, self.url = line.strip().partition("listening on ")
        if not self.url:
            self.__exit__(None, None, None)
            raise EngineError(f"{what} did not start", remedy)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> TruthLog:
        """End the server; what it sent, and when."""
        self._process.terminate()
        try:
            self._process.wait(self._stop_within_s)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{self._what} did not stop within {self._stop_within_s:.0f} s") from error
        if not self._log.exists():
            raise EngineError(f"{self._what} left no log (exit status {self._process.returncode})")
        return self._read(self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._folder.cleanup()


class TruthServer(LoggedServer):
    """The ground-truth server; `port` 0: at any free one; `cpu`: the core it stays on."""

    def __init__(
        self, prescription: Prescription = PRESETS["default"], *, cpu: int | None = None, port: int = 0
    ) -> None:
        def command(log: Path) -> list[str]:
            argv = [sys.executable, "-m", "inferometer.truth.server", f"--port={port}", f"--log={log}"]
            return argv + to_flags(prescription) + ([] if cpu is None else [f"--cpu={cpu}"])

        super().__init__(command, "the ground-truth server", "try it alone: -m inferometer.truth.server")

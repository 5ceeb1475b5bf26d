# SPDX-License-Identifier: Apache-2.0
"""An emulated engine as a child process: started on a free port, stopped with its log in hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import msgspec

from inferometer.emulate.emulation import Setting
from inferometer.errors import EngineError
from inferometer.truth.log import TruthLog, read_log

STOP_WITHIN_S = 30.0


class EmulatedEngine:
    """A running emulated engine, for use with `with`. `url`: where it listens; `port` 0: at any free one.

    Raises: EngineError if it does not start, or does not stop and write its log.
    """

    def __init__(self, setting: Setting, *, port: int = 0, cpu: int | None = None) -> None:
        self.setting = setting
        self._folder = tempfile.TemporaryDirectory(prefix="inferometer-emulate-")
        self._log = Path(self._folder.name) / "truth.log"
        argv = [sys.executable, "-m", "inferometer.emulate.server", msgspec.json.encode(setting).decode(), str(port)]
        argv += [str(self._log), *([] if cpu is None else [str(cpu)])]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout else ""
        _, _, self.url = line.strip().partition("listening on ")
        if not self.url:
            self.__exit__(None, None, None)
            raise EngineError(
                f"the emulated {setting.engine} did not start", f"try inferometer emulate {setting.engine}"
            )

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self) -> TruthLog:
        """End it; what it sent, and when."""
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"the emulated engine did not stop within {STOP_WITHIN_S:.0f} s") from error
        if not self._log.exists():
            raise EngineError(f"the emulated engine left no log (exit status {self._process.returncode})")
        return read_log(self._log)

    def __enter__(self) -> EmulatedEngine:
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

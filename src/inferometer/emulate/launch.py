# SPDX-License-Identifier: Apache-2.0
"""An emulated engine as a child process: started on a free port, stopped with its log in hand."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from inferometer.emulate.emulation import Setting
from inferometer.truth.launch import LoggedServer


class EmulatedEngine(LoggedServer):
    """A running emulated engine; `port` 0: at any free one; `cpu`: the core it stays on."""

    def __init__(self, setting: Setting, *, port: int = 0, cpu: int | None = None) -> None:
        self.setting = setting

        def command(log: Path) -> list[str]:
            argv = [sys.executable, "-m", "inferometer.emulate.server", msgspec.json.encode(setting).decode()]
            return [*argv, str(port), str(log), *([] if cpu is None else [str(cpu)])]

        super().__init__(command, f"the emulated {setting.engine}", f"try inferometer emulate {setting.engine}")

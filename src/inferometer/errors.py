# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, who is told, and with which exit code.

    InferometerError            one line and a remedy on stderr, caught once in cli/main.py
      UsageError        2       a flag, file or TOML key is wrong
      EngineError       3       the engine did not start, died or cannot be reached
      RunError          4       the run is invalid, or could not be carried out
      GateFailed        5       a limit asked for was not met (and only then)
      FormatError       6       a file is not ours, or of a newer version
      Cancelled       130       stopped by the user; what is there was kept
    anything else       1       a bug: traceback

Rule 1: what befalls a *request* is a `kinds.Outcome` in its row, never an exception that leaves the driving loop.
Rule 2: every message says what is wrong in one line; `remedy` says what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class InferometerError(Exception):
    """An error meant for the user: one line (`str(error)`) and, if there is one, a remedy."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class UsageError(InferometerError):
    """A flag, a file or a TOML key is wrong; nothing was sent."""

    exit_code = 2


class EngineError(InferometerError):
    """The engine did not start, died, or cannot be reached."""

    exit_code = 3


class RunError(InferometerError):
    """The run is invalid, or could not be carried out (disk full, out of file descriptors)."""

    exit_code = 4


class GateFailed(InferometerError):
    """A limit on the run as a whole (`ttft_p99<500ms`) was not met."""

    exit_code = 5


class FormatError(InferometerError):
    """A file is not ours, is damaged beyond its torn tail, or was written by a newer version."""

    exit_code = 6


BY_USER = "stopped by the user"


class Cancelled(InferometerError):
    """Stopped by the user; everything up to that point was kept."""

    exit_code = 130

# SPDX-License-Identifier: Apache-2.0
"""One experiment: find or start the server, ask it, plan, drive, write the run down.

Rule 1: everything that can be wrong is found before the first request is sent.
Rule 2: whatever happens after the folder is made, the folder says what happened, and the engine is stopped.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from inferometer import __version__
from inferometer.clock import Clock, utc_now
from inferometer.config import Experiment, describe
from inferometer.drive.answer import Answer
from inferometer.drive.arrivals import Window
from inferometer.drive.decode import facts_of
from inferometer.drive.exchange import Finished
from inferometer.drive.loop import Loop, Options, Tick
from inferometer.drive.progress import Observer, Progress
from inferometer.engines.engine import Dialect
from inferometer.kinds import Phase
from inferometer.plan.plan import Plan
from inferometer.recorder import Writer
from inferometer.records import SCHEMA_VERSION
from inferometer.run_folder import PLAN, RECORDER, STATE_FINISHED, STATE_RUNNING, STATE_STOPPED, Run
from inferometer.units import NS_PER_MS, NS_PER_S

SAMPLE_PERIOD_NS = NS_PER_S
PROGRESS_PERIOD_NS = 250 * NS_PER_MS


class Drive:
    """The measured part: a plan driven against a server, with samples and notes going into the recorder.

    One object per run; `run()` returns when every request has ended.
    """

    def __init__(self, loop: Loop, plan: Plan, recorder: Writer, clock: Clock) -> None:
        ...

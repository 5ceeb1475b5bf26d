# SPDX-License-Identifier: Apache-2.0
"""Experiments: from a configuration to a run folder. `run` is the whole; the other files are its steps."""

from inferometer.experiment.conduct import Prepared, check, run
from inferometer.experiment.sizing import MAX_POOL, schedule_of, shape_of

__all__ = ["MAX_POOL", "Prepared", "check", "run", "schedule_of", "shape_of"]

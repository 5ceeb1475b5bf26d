# SPDX-License-Identifier: Apache-2.0
"""Experiments: from a configuration to a run folder. `run` is the whole; the other files are its steps.

For many runs of one server: `serving`, and `run_against` what it yields.
"""

from inferometer.experiment.conduct import Prepared, access_of, check, facts_of, name_of, run, run_against, serving
from inferometer.experiment.sizing import MAX_POOL, schedule_of, shape_of
from inferometer.experiment.subject import longest_request

__all__ = [
    "MAX_POOL",
    "Prepared",
    "access_of",
    "check",
    "facts_of",
    "longest_request",
    "name_of",
    "run",
    "run_against",
    "schedule_of",
    "serving",
    "shape_of",
]

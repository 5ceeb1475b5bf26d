# SPDX-License-Identifier: Apache-2.0
"""What other clients' published definitions make of the same bytes: one file per tool, a registry of their formulas.

`values(definition, Answers(trace))` applies one of `DEFINITIONS`; `TOOLS` are the releases whose sources were read.
"""

from inferometer.metrics.elsewhere import aiperf, evalscope, genai_bench, guidellm, inference_perf, vllm
from inferometer.metrics.elsewhere.answers import Answers
from inferometer.metrics.elsewhere.definition import DEFINITIONS, Definition, Tool, definitions_of, values
from inferometer.metrics.elsewhere.statistics import ElsewhereReport, Told, report_as

TOOLS = tuple(module.TOOL for module in (vllm, guidellm, aiperf, inference_perf, evalscope, genai_bench))

__all__ = [
    "DEFINITIONS",
    "TOOLS",
    "Answers",
    "Definition",
    "ElsewhereReport",
    "Told",
    "Tool",
    "definitions_of",
    "report_as",
    "values",
]

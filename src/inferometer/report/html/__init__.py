# SPDX-License-Identifier: Apache-2.0
"""Reports as one HTML page each, readable without a network, a script or a colour."""

from inferometer.report.html.choice import render as choice
from inferometer.report.html.comparison import render as comparison
from inferometer.report.html.limit import render as limit
from inferometer.report.html.run import render
from inferometer.report.html.sweep import render as sweep

__all__ = ["choice", "comparison", "limit", "render", "sweep"]

# SPDX-License-Identifier: Apache-2.0
"""Reports as one HTML page each, readable without a network, a script or a colour."""

from inferometer.report.html.run import render

__all__ = ["render"]

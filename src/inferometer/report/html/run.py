# SPDX-License-Identifier: Apache-2.0
"""The page of one run: verdict and answer, latencies, time, single requests, how true it is, where it comes from.

Rule: nothing is computed here but places on a page. Numbers are the summary's, shapes those of metrics/shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.metrics.shapes import Shapes
from inferometer.metrics.summary import Summary
from inferometer.report.html.answer import answer, heading
from inferometer.report.html.each import each
from inferometer.report.html.element import h
from inferometer.report.html.facts import everything, fidelity, provenance, server
from inferometer.report.html.latencies import latencies
from inferometer.report.html.over_time import over_time
from inferometer.report.html.page import Section, page


def render(summary: Summary, shapes: Shapes, manifest: Mapping[str, Any], *, run_name: str = "") -> str:
    """The whole document. `manifest`: told in full as provenance; it holds no secret."""
    model = str(summary.engine.get("model") or "run")
    sections = (
        Section("answer", "Answer", answer(summary)),
        Section("latencies", "Latencies", latencies(summary, shapes)),
        Section("time", "Over time", over_time(summary, shapes)),
        Section("requests", "Each request", each(summary, shapes)),
        Section("fidelity", "How true it is", fidelity(summary)),
        Section("server", "What the server says of itself", server(summary)),
        Section("numbers", "All numbers", everything(summary)),
        Section("provenance", "Configuration and provenance", provenance(manifest)),
    )
    version = str(summary.versions.get("inferometer") or "")
    made_of = f" from the records of {run_name}" if run_name else ""
    foot = [h("p", f"Made by inferometer {version}{made_of}. Every number can be computed again from them.")]
    return page(f"{summary.verdict.level.upper()}: {model}", heading(summary), sections, foot)

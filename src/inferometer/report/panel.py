# SPDX-License-Identifier: Apache-2.0
"""The live panel: what a run looks like from the outside while it lasts.

Rule 1: it is drawn in the slack of the driving loop, so it is plain string formatting and costs some microseconds.
Rule 2: its numbers are so-far numbers without intervals; the report has the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.report.layout import cut

BAR_WIDTH = 24  # characters


@dataclass(frozen=True, slots=True)
class PanelFacts:
    """What the panel shows. `phase`: "warm-up", "measuring" or "draining"; `trial` counts from 0; None is "not yet"."""

    phase: str
    trial: int
    n_trials: int
    elapsed_s: float
    remaining_s: float | None
    n_in_flight: int
    n_done: int
    n_failed: int
    rate_per_s: float
    ttft_p50_s: float | None = None
    tpot_p50_s: float | None = None
    last_error: str = ""


def panel_lines(facts: PanelFacts, width: int) -> list[str]:
    """Two lines for a terminal, three once something failed; each shorter than `width`, so that none wraps."""
    lines = [
        f"{_phase(facts)}  {_progress(facts)}{_bar(facts)}",
        f"  in flight {facts.n_in_flight:,}   done {facts.n_done:,}   failed {facts.n_failed:,}   "
        f"{_short(facts.rate_per_s)}/s   ttft {_duration(facts.ttft_p50_s)}   tpot {_duration(facts.tpot_p50_s)}",
    ]
    if facts.last_error:
        lines.append(f"  last failure: {facts.last_error}")
    return [cut(line, width - 1) for line in lines]


def start_line(waited_s: float, last_line: str, width: int) -> str:
    """An engine that is loading: for how long, and its own last words."""
    return cut(f"loading   {waited_s:.0f} s  {last_line.strip()}", width - 1)


def plain_line(facts: PanelFacts) -> str:
    """The same on one line, for logs and pipes; without latencies, which only a panel has decoded in time."""
    error = f"; last failure: {facts.last_error}" if facts.last_error else ""
    return cut(
        f"{_phase(facts)} {_progress(facts)}: {facts.n_in_flight} in flight, {facts.n_done} done, "
        f"{facts.n_failed} failed, {_short(facts.rate_per_s)}/s{error}",
        400,
    )


def redraw(lines: list[str], n_previous: int) -> str:
    """What to write to a terminal whose cursor stands below the `n_previous` lines drawn before.

    Every line is overwritten in place and only its rest erased: nothing flickers. Without lines the panel is wiped.
    """
    up = f"\x1b[{n_previous}F" if n_previous else ""
    return up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"


def _phase(facts: PanelFacts) -> str:
    trial = f" {facts.trial + 1}/{facts.n_trials}" if facts.n_trials > 1 else ""
    return f"{facts.phase}{trial}"


def _progress(facts: PanelFacts) -> str:
    if facts.remaining_s is None:
        return f"{facts.elapsed_s:.0f} s"
    return f"{facts.elapsed_s:.0f} s, {facts.remaining_s:.0f} s left"


def _bar(facts: PanelFacts) -> str:
    """How far the run is; empty where its end is not known."""
    if facts.remaining_s is None:
        return ""
    n_filled = int(BAR_WIDTH * facts.elapsed_s / max(facts.elapsed_s + facts.remaining_s, 1e-9))
    return f"  [{'#' * n_filled}{'.' * (BAR_WIDTH - n_filled)}]"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{_short(seconds * 1e3)} ms" if seconds < 1 else f"{_short(seconds)} s"


def _short(value: float) -> str:
    """About three digits, without the branches of the careful formatters."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

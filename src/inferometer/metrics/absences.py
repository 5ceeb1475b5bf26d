# SPDX-License-Identifier: Apache-2.0
"""When the driving loop was away from its sockets, and what that touched.

Rule: kernel stamps stay true meanwhile. What suffers is what became due, for it left late, and what came several at a
time, for a read has the stamp of its last event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.rows import Mask, is_counted
from inferometer.metrics.samples import series
from inferometer.metrics.tokens import token_chunks
from inferometer.metrics.window import Window
from inferometer.records import Array, Trace
from inferometer.stats import FloatArray
from inferometer.units import NS_PER_MS, NS_PER_S

# What came while nobody looked is read right after, and may have the stamp of a segment that came in that instant.
AFTER_NS = NS_PER_MS
# What took at least so much of an absence was its cause.
MOSTLY = 0.5


@dataclass(frozen=True, slots=True)
class Absences:
    """By worker, in order of time. Shapes: worker, t_start_ns, t_end_ns int64[n]; is_wait, is_write bool[n].

    `is_wait`: for want of a core during half of it or more, as far as samples tell, and not stopped. `is_write`: else,
    half of it or more went into writing down what had come.
    """

    worker: Array
    t_start_ns: Array
    t_end_ns: Array
    is_wait: Mask
    is_write: Mask

    def __len__(self) -> int:
        return len(self.worker)

    @property
    def lengths_ns(self) -> Array:
        return np.asarray(self.t_end_ns - self.t_start_ns)

    def only(self, mask: Mask) -> Absences:
        return Absences(
            self.worker[mask], self.t_start_ns[mask], self.t_end_ns[mask], self.is_wait[mask], self.is_write[mask]
        )

    def cover(self, worker: Array, t_ns: Array) -> Mask:
        """Which instants of which worker fall into one. Shapes: worker int[m], t_ns int64[m] -> bool[m]."""
        inside = np.zeros(len(t_ns), bool)
        for number in np.unique(self.worker):
            starts, ends = (instants[self.worker == number] for instants in (self.t_start_ns, self.t_end_ns))
            before = np.searchsorted(starts, t_ns, side="right") - 1
            is_within = (before >= 0) & (t_ns <= ends[np.maximum(before, 0)] + AFTER_NS)
            inside |= is_within & (worker == number)
        return inside


def absences(trace: Trace, windows: Sequence[Window]) -> Absences:
    """All that were written down and lie, at least in part, in a window."""
    sources = sorted(source for source in set(trace.samples["source"]) if _worker(source) >= 0)
    parts = [_of_worker(trace.samples, source, windows) for source in sources]
    none = np.zeros(0, np.int64)
    return Absences(
        np.concatenate([none, *(part.worker for part in parts)]),
        np.concatenate([none, *(part.t_start_ns for part in parts)]),
        np.concatenate([none, *(part.t_end_ns for part in parts)]),
        np.concatenate([none > 0, *(part.is_wait for part in parts)]),
        np.concatenate([none > 0, *(part.is_write for part in parts)]),
    )


def _of_worker(samples: Array, source: str, windows: Sequence[Window]) -> Absences:
    ends, lengths_s = series(samples, source, "away_s")
    _, writes_s = series(samples, source, "away_write_s")
    starts = ends - lengths_s * NS_PER_S
    _, stopped = series(samples, source, "away_stopped")
    was_stopped = stopped > 0 if len(stopped) else np.zeros(len(ends), bool)  # older records do not tell
    is_wait = ~was_stopped & (_waited_s(samples, source, starts, ends) >= MOSTLY * lengths_s)
    is_write = ~is_wait & (writes_s >= MOSTLY * lengths_s)
    inside = np.zeros(len(ends), bool)
    for window in windows:
        inside |= (starts < window.t_end_ns) & (ends > window.t_start_ns)
    worker = np.full(len(ends), _worker(source))
    return Absences(worker, starts.astype(np.int64), ends.astype(np.int64), is_wait, is_write).only(inside)


def _waited_s(samples: Array, source: str, starts: FloatArray, ends: FloatArray) -> FloatArray:
    """How long the client was ready to run and had no core meanwhile; 0 if that was not sampled.

    Known is how long it waited between the samples before and after: meanwhile at the same rate as in all of that time,
    or more, if in the rest of it the client waited at the rate that is usual in this run (the median over samples).
    """
    t_ns, waited_s = series(samples, source, "run_delay_s")
    if len(t_ns) < 2:
        return np.zeros(len(ends))
    before = np.clip(np.searchsorted(t_ns, starts, side="right") - 1, 0, len(t_ns) - 2)
    after = np.clip(np.searchsorted(t_ns, ends), before + 1, len(t_ns) - 1)
    usual = float(np.median(np.diff(waited_s) / np.diff(t_ns)))
    around_ns, around_s = t_ns[after] - t_ns[before], waited_s[after] - waited_s[before]
    rest_ns = np.maximum(around_ns - (ends - starts), 0)
    return np.maximum(around_s - usual * rest_ns, around_s / around_ns * (ends - starts))


def _worker(source: str) -> int:
    """The number of the worker whose gauges these are (`client`: 0, `client-2`: 2); -1 for other sources."""
    name, _, number = source.partition("-")
    return (int(number) if number else 0) if name == "client" else -1


def left_late(trace: Trace, away: Absences) -> Mask:
    """Counted requests that became due meanwhile. Shapes: bool[n_requests]."""
    requests = trace.requests
    return np.asarray(is_counted(requests) & away.cover(requests["worker"], requests["t_due_ns"]))


def misdated_chunks(trace: Trace, away: Absences) -> Mask:
    """Token-bearing chunks that came meanwhile and have a later stamp: that of another in the same read, or the
    client's own. Shapes: bool[n token-bearing chunks]."""
    chunks = token_chunks(trace)
    came = away.cover(chunks.spread(trace.requests["worker"]), chunks.t_ns)
    if not came.any():
        return came
    these = np.flatnonzero(came)  # few, of perhaps ten million
    after = np.minimum(these + 1, len(came) - 1)
    rows, next_rows = trace.chunks[chunks.at[these]], trace.chunks[chunks.at[after]]
    is_last = (after == these) | np.isin(after, chunks.starts)
    came[these] = (~is_last & (rows["read_id"] == next_rows["read_id"])) | (rows["t_recv_ns"] == rows["t_read_ns"])
    return came


def misdated_firsts(trace: Trace, away: Absences) -> Mask:
    """Counted requests whose first token is among these chunks. Shapes: bool[n_requests]."""
    chunks, is_misdated = token_chunks(trace), misdated_chunks(trace, away)
    found = np.zeros(len(trace.requests), bool)
    found[chunks.rows] = is_misdated[chunks.starts]
    return found & is_counted(trace.requests)

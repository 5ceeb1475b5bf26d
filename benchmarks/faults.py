# SPDX-License-Identifier: Apache-2.0
"""Every fault a server can show, alone and mixed into a healthy load: its outcome, its end in time, its neighbours.

    python benchmarks/faults.py [--seeds 20] [--only NAME,...]

Prints docs/evidence/faults.md's tables, ready to paste. Needs the development extras (trustme). Takes about ten
minutes. The measured path is the product's own (driving loop, recorder, decoder, statistics); what it says is held
against the log of the ground-truth server, which tells for each request what went wrong on purpose, and when.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import trustme

from inferometer.clock import Clock, monotonic_ns
from inferometer.drive.arrivals import FAR_NS
from inferometer.drive.connection import Target
from inferometer.drive.decode import Asked, decode
from inferometer.drive.loop import Options
from inferometer.engines.openai import CHAT
from inferometer.kinds import Outcome
from inferometer.measurement import Job, Measured, Measurement
from inferometer.metrics.estimates import chunk_statistics, request_statistics
from inferometer.metrics.registry import METRICS
from inferometer.metrics.tokens import indexed
from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.records import Trace
from inferometer.stats import Estimate
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import TruthLog
from inferometer.truth.log import compare as held_against
from inferometer.truth.script import Prescription, drawn
from inferometer.units import NS_PER_MS, NS_PER_S
from inferometer.wire.http1 import encode_request
from inferometer.wire.tls import make_context

DEADLINE_S, STALL_S = 2.0, 0.5
BOUND_S = 0.25  # a sweep every 50 ms, forced 200 ms after its time when the loop has no slack
OPTIONS = Options(timeout_ns=round(DEADLINE_S * NS_PER_S), stall_timeout_ns=round(STALL_S * NS_PER_S))
N_TOKENS = 10
N_ALONE = 8  # requests of a run with one fault, two at a time: the fault strikes one of the first six
HEALTHY = Prescription(ttft_ms=20, gap_ms=2)
# The healthy load of the mix: 500 requests at 200/s, enough for an interval of the 99th percentile with two ends;
# TTFT from 50 to 81 ms, gaps of 10 ms in the mean.
MIX = Prescription(ttft_ms=50, gap_ms=10, jitter="lognormal", stagger_ms=1, stagger_n=32)
MIX_N, MIX_PERIOD_NS, MIX_TOKENS, MIX_RATIO = 500, 5 * NS_PER_MS, 20, 0.1
N_BEFORE = 5  # requests of a run that all fail on their way to the server: too few to end it early
SAID = "the ground-truth server was asked to fail"

# When it can be known that a request has failed: with the server's last act, or when a limit runs out.
ACT, STALL, DEADLINE, LIMIT = "act", "stall", "deadline", "limit"


@dataclass(frozen=True)
class Fault:
    """One fault of the ground-truth server. `words`: what the row's error must say, `this|or that`.

    `more`: further prescription. `label`: its name in the table, where that is not the server's.
    """

    name: str
    does: str
    outcomes: tuple[Outcome, ...]
    words: str = ""
    known_by: str = ACT
    more: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def title(self) -> str:
        return self.label or self.name

    def is_right(self, outcome: Outcome, error: str) -> bool:
        return outcome in self.outcomes and any(words in error for words in self.words.split("|"))


def status(name: str, does: str, words: str, **more: Any) -> Fault:
    return Fault(name, does, (Outcome.HTTP_STATUS,), words, more=more)


FAULTS = (
    status("400", "status 400, JSON error", f"HTTP 400: {SAID}"),
    status("401", "status 401, JSON error", f"HTTP 401: {SAID}"),
    status("404_html", "status 404, HTML page", f"HTTP 404: 404 {SAID}"),
    status("413_empty", "status 413, empty body", "HTTP 413"),
    status("429", "status 429, JSON error, `Retry-After: 7`", f"HTTP 429: {SAID} (retry after 7 s)", retry_after_s=7),
    status("429_html", "status 429, HTML page, `Retry-After: 7`", "(retry after 7 s)", retry_after_s=7),
    status("500", "status 500, JSON error", f"HTTP 500: {SAID}"),
    status("500_html", "status 500, HTML page", f"HTTP 500: 500 {SAID}"),
    status("500_empty", "status 500, empty body", "HTTP 500"),
    status("503", "status 503, JSON error, `Retry-After: 7`", f"HTTP 503: {SAID} (retry after 7 s)", retry_after_s=7),
    status("503_html", "status 503, HTML page", f"HTTP 503: 503 {SAID}"),
    status("503_empty", "status 503, empty body", "HTTP 503"),
    Fault("reset_before_head", "reset before the first byte", (Outcome.RESET,), "reset"),
    Fault("reset_in_head", "reset within the headers", (Outcome.RESET,), "reset"),
    Fault("reset", "reset in mid-stream", (Outcome.RESET,), "reset"),
    Fault("truncate", "closes in mid-stream, no terminator", (Outcome.TRUNCATED,), "closed before the end"),
    Fault("end_early", "ends cleanly, no finish, no `[DONE]`", (Outcome.TRUNCATED,), "finish reason|no token"),
    Fault("empty", "status 200, an empty stream", (Outcome.TRUNCATED,), "no token"),
    Fault("stall", "falls silent in mid-stream", (Outcome.STALLED,), "silent for 0.5 s", STALL, {"fault_ms": 1e5}),
    Fault("never_ends", "sends every token, then nothing", (Outcome.STALLED,), "silent for 0.5 s", STALL),
    Fault("never_answers", "takes the request, says nothing", (Outcome.STALLED,), "silent for 0.5 s", STALL),
    Fault(
        "flood", "3 MB/s of events without end", (Outcome.DEADLINE,), "not finished after 2 s", DEADLINE,
        {"gap_ms": 20}, "endless stream",
    ),
    Fault(
        "flood", "events without end, as fast as they are taken", (Outcome.PROTOCOL, Outcome.DEADLINE), "", LIMIT,
        {"gap_ms": 0},
    ),
    Fault("bad_json", "an event that is cut JSON", (Outcome.PROTOCOL,), "not JSON"),
    Fault("bad_chunk_size", "a chunk size that is no number", (Outcome.PROTOCOL,), "instead of its size"),
    Fault("wrong_chunk_size", "a chunk size that is one too small", (Outcome.PROTOCOL,), "longer than its size"),
    Fault("not_http", "an SSH banner", (Outcome.PROTOCOL,), "not HTTP"),
    Fault("big_head", "20 MB of headers", (Outcome.PROTOCOL,), "head is longer", LIMIT),
    Fault("big_event", "one event of 20 MB", (Outcome.PROTOCOL,), "event of the stream is longer"),
    Fault("html_page", "status 200, an HTML page", (Outcome.PROTOCOL,), "not JSON"),
    Fault("wrong_type", "a good stream called application/json", (Outcome.OK,)),
    Fault("error_event", "an error object in mid-stream", (Outcome.ENGINE_ERROR,), SAID),
    Fault("named_error_event", "`event: error` in mid-stream", (Outcome.ENGINE_ERROR,), SAID),
    Fault("held_open", "all of it, but the HTTP message is not ended", (Outcome.OK,)),
    Fault("idle_close", "closes the idle connection 0 to 1 ms after an answer", (Outcome.OK,)),
    Fault("drop_reuse", "closes as the next request goes out on a kept-alive connection", (Outcome.OK,)),
)  # fmt: skip
MIXED = tuple(fault for fault in FAULTS if fault.label or fault.name != "flood")  # one flood is enough


# -- driving ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Driven:
    """What one measurement recorded, and what the server says it did (None: there was none to ask)."""

    measured: Measured
    trace: Trace
    origin_ns: int
    log: TruthLog | None = None

    @property
    def rows(self) -> Any:
        return self.trace.requests


def drive(
    address: Any,
    truths: Sequence[dict[str, Any]],
    stage: Stage,
    *,
    n_tokens: int = N_TOKENS,
    nonce: str = "run",
    tls: ssl.SSLContext | None = None,
    clock: Clock | None = None,
) -> Driven:
    """Measure one stage. `truths[i]`: what request i asks of the server beside an answer."""
    clock = clock or Clock()
    payloads = [payload(f"{i}-{nonce}", truth, n_tokens) for i, truth in enumerate(truths)]
    target = Target(socket.AF_INET, address, "engine.test", tls)
    schedule = Schedule("open" if stage.concurrency is None else "closed", "faults", ((stage,),))
    with tempfile.TemporaryDirectory(prefix="inferometer-faults-") as folder:
        path = Path(folder) / "recorder.bin"
        with closing(Writer(path)) as recorder:
            measured = Measurement(Job(target, payloads, schedule, CHAT, recorder, clock, OPTIONS)).run()
        decoded = decode([path], CHAT, Asked([2], [n_tokens]))
        trace = Trace(decoded.requests, decoded.chunks, decoded.samples, {"clock": {"origin_ns": clock.origin_ns}})
    return Driven(measured, trace, clock.origin_ns)


def payload(request_id: str, truth: dict[str, Any], n_tokens: int) -> bytes:
    encoded = CHAT.encode(Request(0, "hello there", 2, n_tokens), "truth", {"truth": truth})
    fields = [("host", "truth"), ("content-type", "application/json"), ("x-request-id", request_id)]
    return encode_request("POST", encoded.path, fields, encoded.body)


def drive_truth(prescription: Prescription, truths: Sequence[dict[str, Any]], stage: Stage, **more: Any) -> Driven:
    with TruthServer(prescription) as server:
        driven = drive(("127.0.0.1", server.port), truths, stage, **more)
        return replace(driven, log=server.stop())


# -- judging ----------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of one kind of fault. `late_s`: how long after it could be known each of them ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    n_neighbours: int = 0
    n_neighbours_ok: int = 0
    n_retried: int = 0

    def judge(self, fault: Fault, driven: Driven, i: int) -> None:
        """Hold row i against what the fault should have led to."""
        row = driven.rows[i]
        outcome = Outcome(row["outcome"])
        self.outcomes[outcome.name] += 1
        if not fault.is_right(outcome, row["error"]):
            self.wrong.append(f"{fault.title}: {outcome.name} {row['error']!r}")
        if fault.known_by != LIMIT:
            self.late_s.append((int(row["t_end_ns"]) - known_ns(fault, driven, i)) / NS_PER_S)

    def count_neighbours(self, rows: Any) -> None:
        self.n_neighbours += len(rows)
        self.n_neighbours_ok += int((rows["outcome"] == Outcome.OK).sum())
        self.n_retried += int((rows["attempt"] > 1).sum())


def known_ns(fault: Fault, driven: Driven, i: int) -> int:
    """The instant, on the run's axis, from which the end of request i could be known."""
    row = driven.rows[i]
    if fault.known_by == DEADLINE:
        return int(row["t_due_ns"]) + OPTIONS.timeout_ns
    assert driven.log is not None
    k = int(np.flatnonzero(driven.log.requests["id"] == row["id"])[-1])  # the last attempt
    steps = driven.log.steps_of(k)
    last_ns = int(steps["t_before_ns"][-1] if len(steps) else driven.log.requests["t_arrival_ns"][k])
    if fault.name == "idle_close":
        last_ns = int(steps["t_before_ns"][steps["n_tokens"] > 0][-1])  # what comes last is the close
    if fault.name == "never_answers":
        last_ns = int(driven.log.requests["t_arrival_ns"][k])
    return last_ns - driven.origin_ns + (OPTIONS.stall_timeout_ns if fault.known_by == STALL else 0)


HEADS = ("fault", "what the server does", "expected", "seen", "ends at most", "bound", "neighbours")


def line(fault: Fault, tally: Tally) -> str:
    seen = ", ".join(f"{name} {n}" for name, n in tally.outcomes.most_common())
    expected = " or ".join(outcome.name for outcome in fault.outcomes)
    late = f"{1e3 * max(tally.late_s):.0f} ms" if tally.late_s else "-"
    bound = f"{1e3 * BOUND_S:.0f} ms" if tally.late_s else "-"
    neighbours = f"{tally.n_neighbours_ok} of {tally.n_neighbours} ok" if tally.n_neighbours else "-"
    if tally.n_retried:
        neighbours += f", {tally.n_retried} sent twice"
    wrong = f" **{len(tally.wrong)} wrong**" if tally.wrong else ""
    return f"| `{fault.title}` | {fault.does} | {expected} | {seen}{wrong} | {late} | {bound} | {neighbours} |"


def table(*heads: str) -> None:
    print("\n| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads), flush=True)


def complain(tally: Tally) -> None:
    for text, n in Counter(tally.wrong).most_common(5):
        print(f"  wrong, {n} x: {text}", file=sys.stderr, flush=True)


# -- alone ------------------------------------------------------------------------------------------------------------


def alone(fault: Fault, n_seeds: int) -> Tally:
    """One run per seed, eight requests, one of them struck: which, and after how many chunks, the seed decides."""
    runs: list[Driven] = []
    with TruthServer(HEALTHY) as server:
        for seed in range(n_seeds):
            more = {"fault_ms": 0.05 * seed} if fault.name == "idle_close" else fault.more
            truths: list[dict[str, Any]] = [{} for _ in range(N_ALONE)]
            truths[seed % 6] = {"faults": [fault.name], "fault_seed": seed, "fault_at": N_TOKENS - 1} | more
            stage = Stage(concurrency=2, n_requests=N_ALONE)
            runs.append(drive(("127.0.0.1", server.port), truths, stage, nonce=str(seed)))
        log = server.stop()
    tally = Tally()
    for seed, driven in enumerate(runs):
        tally.judge(fault, replace(driven, log=log.of_run(str(seed))), seed % 6)
        tally.count_neighbours(np.delete(driven.rows, seed % 6))
    return tally


# -- mixed ------------------------------------------------------------------------------------------------------------

COMPARED = (("ttft_s", "p50"), ("ttft_s", "p99"), ("gap_s", "p50"), ("gap_s", "p99"))


@dataclass
class Mixed:
    """`inside[metric, statistic]`: runs whose healthy requests lie in the interval of the run without faults.

    `inside_again`: how many second runs without faults do, which is what the machine itself allows.
    `ours_s[what, run]`: per run, the p99 of what the client itself did to a healthy request.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    healthy: Tally = field(default_factory=Tally)
    inside: Counter[tuple[str, str]] = field(default_factory=Counter)
    inside_again: Counter[tuple[str, str]] = field(default_factory=Counter)
    moved_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    widths_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    ours_s: dict[tuple[str, str], list[float]] = field(default_factory=dict)


def mixed(n_seeds: int) -> Mixed:
    """Per seed the same plan without faults, twice, and with a tenth of the requests struck by one drawn fault each."""
    found = Mixed()
    by_name = {fault.name: fault for fault in MIXED}
    stage = Stage(due_ns=np.arange(MIX_N, dtype=np.int64) * MIX_PERIOD_NS)
    for seed in range(n_seeds):
        plain = drive_truth(MIX, [{}] * MIX_N, stage, n_tokens=MIX_TOKENS)
        again = drive_truth(MIX, [{}] * MIX_N, stage, n_tokens=MIX_TOKENS)
        mix = {"faults": list(by_name), "fault_ratio": MIX_RATIO, "fault_seed": seed, "retry_after_s": 7}
        struck = drive_truth(MIX, [mix] * MIX_N, stage, n_tokens=MIX_TOKENS)
        asked = Prescription(faults=tuple(by_name), fault_ratio=MIX_RATIO, fault_seed=seed)
        names = [drawn(asked, f"{i}-").fault_name for i in struck.rows["id"]]
        is_healthy = np.array([name == "none" for name in names])
        for i in np.flatnonzero(~is_healthy):
            fault = by_name[names[i]]
            found.tallies.setdefault(fault.name, Tally()).judge(fault, struck, int(i))
        found.healthy.count_neighbours(struck.rows[is_healthy])
        compare(found, *(figures(driven.trace, is_healthy) for driven in (plain, again, struck)))
        for name, driven in (("without", plain), ("with", struck)):
            for what, p99_s in ours(driven, is_healthy).items():
                found.ours_s.setdefault((what, name), []).append(p99_s)
    return found


OURS = ("sent late", "first stamp off", "gap off")


def ours(driven: Driven, is_in: Any) -> dict[str, float]:
    """What the client did to some of the requests, p99: the rest of their latency is the server's own, by its log."""
    assert driven.log is not None
    rows = driven.rows[is_in]
    errors = held_against(Trace(rows, driven.trace.chunks, driven.trace.samples, driven.trace.meta), driven.log)
    late_s = float(np.percentile(rows["t_sent_ns"] - rows["t_due_ns"], 99)) / NS_PER_S
    return dict(zip(OURS, (late_s, errors.ttft.p99_s, errors.gap.p99_s), strict=True))


Figures = dict[tuple[str, str], Any]


def compare(found: Mixed, without: Figures, again: Figures, with_faults: Figures) -> None:
    for key in COMPARED:
        a, b = without[key], with_faults[key]
        assert isinstance(a, Estimate), a
        assert isinstance(b, Estimate), b
        found.inside[key] += a.lo <= b.value <= a.hi
        found.inside_again[key] += a.lo <= again[key].value <= a.hi
        found.moved_s.setdefault(key, []).append(b.value - a.value)
        found.widths_s.setdefault(key, []).append(a.hi - a.lo)


def figures(trace: Trace, is_in: Any) -> Figures:
    """The product's own statistics over some of the requests."""
    rows = trace.requests[is_in].copy()
    parts = [trace.chunks[s : s + n] for s, n in zip(rows["chunk_start"], rows["n_chunks"], strict=True)]
    rows["chunk_start"] = np.cumsum(rows["n_chunks"]) - rows["n_chunks"]
    some = indexed(Trace(rows, np.concatenate(parts), trace.samples, trace.meta))
    ttft, gap = METRICS["ttft_s"], METRICS["gap_s"]
    found = {
        "ttft_s": request_statistics(ttft, ttft.fn(some), some),
        "gap_s": chunk_statistics(gap, gap.fn(some), some),
    }
    return {(name, statistic): found[name][statistic] for name, statistic in COMPARED}


# -- before HTTP ------------------------------------------------------------------------------------------------------


@contextmanager
def nobody() -> Iterator[Any]:
    """An address where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


@contextmanager
def full_queue() -> Iterator[Any]:
    """A listener whose queue is full: the kernel drops what else comes, as a firewall does."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()


@contextmanager
def silent() -> Iterator[Any]:
    """Takes connections and says nothing: a TLS handshake that never goes on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[Any]:
    """Shakes hands; whom it serves with does not trust it, so that is all."""

    def accept() -> None:
        with suppress(OSError):  # closed
            while True:
                sock, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
                    tls.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()


# A certificate that does not hold, and what must be said about it.
CERTIFICATES = {"expired": "expired", "wrong host": "not valid for", "self-signed": "self-signed"}


def certificate(kind: str, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    if kind == "self-signed":
        own = trustme.CA()
        with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as pem:
            context.load_cert_chain(pem, key)
    elif kind == "expired":
        names = ("engine.test", "127.0.0.1")
        authority.issue_cert(*names, not_before=long_ago, not_after=long_ago.replace(year=2002)).configure_cert(context)
    else:
        authority.issue_cert("other.test").configure_cert(context)
    return context


def before_http(n_seeds: int) -> Iterator[tuple[Fault, Tally, str]]:
    """Faults of the way to the server: all requests of a run meet them.

    Yields: fault, tally over runs of five, and how a run of 400 ended.
    """
    authority = trustme.CA()
    with authority.cert_pem.tempfile() as pem:
        trust = make_context(False, pem)
    cases: list[tuple[Fault, Callable[[], Any], ssl.SSLContext | None]] = [
        (Fault("refused", "nobody listens", (Outcome.REFUSED,), "refused"), nobody, None),
        *[
            (
                Fault(f"TLS, {kind}", f"a certificate: {kind}", (Outcome.TLS,), words),
                lambda kind=kind: tls_server(certificate(kind, authority)),
                trust,
            )
            for kind, words in CERTIFICATES.items()
        ],
        (
            Fault("connect timeout", "drops packets", (Outcome.CONNECT_TIMEOUT,), "no connection after 2 s", DEADLINE),
            full_queue,
            None,
        ),
        (
            Fault("TLS, silent", "never shakes hands", (Outcome.CONNECT_TIMEOUT,), "no TLS handshake", DEADLINE),
            silent,
            trust,
        ),
    ]
    for fault, place, tls in cases:
        tally = Tally()
        with place() as address:
            for n in [N_BEFORE] * (n_seeds // N_BEFORE) or [n_seeds]:
                judge_before(fault, tally, drive(address, [{}] * n, Stage(concurrency=n, n_requests=n), tls=tls))
            driven = drive(address, [{}] * 400, Stage(concurrency=4, n_requests=400), tls=tls)
        yield fault, tally, f"{len(driven.rows)} of 400: {driven.measured.stop_reason}"


def judge_before(fault: Fault, tally: Tally, driven: Driven) -> None:
    for row in driven.rows:
        outcome = Outcome(row["outcome"])
        tally.outcomes[outcome.name] += 1
        if not fault.is_right(outcome, row["error"]):
            tally.wrong.append(f"{fault.title}: {outcome.name} {row['error']!r}")
        known_ns = int(row["t_due_ns"]) + (OPTIONS.timeout_ns if fault.known_by == DEADLINE else 0)
        tally.late_s.append((int(row["t_end_ns"]) - known_ns) / NS_PER_S)


# -- in mid-run -------------------------------------------------------------------------------------------------------


def dying(n_seeds: int) -> tuple[Tally, list[float], Counter[str]]:
    """The server is killed in mid-run: what is in flight ends, what follows is refused, the run ends early."""
    tally, ended_s, reasons = Tally(), [], Counter[str]()
    for seed in range(n_seeds):
        with TruthServer(HEALTHY) as server:
            t_kill: list[int] = []
            delay_s = random.Random(seed).uniform(0.2, 0.6)
            timer = threading.Timer(delay_s, lambda pid=server.pid, t=t_kill: (t.append(monotonic_ns()), _kill(pid)))
            timer.start()
            stage = Stage(concurrency=8, duration_ns=5 * NS_PER_S)
            driven = drive(("127.0.0.1", server.port), [{}] * 64, stage)
            timer.join()
        rows = driven.rows
        tally.outcomes.update(Outcome(o).name for o in rows["outcome"])
        kill_ns = t_kill[0] - driven.origin_ns
        ended_s.append((int(rows["t_end_ns"].max()) - kill_ns) / NS_PER_S)
        before = rows[rows["t_end_ns"] < kill_ns]
        tally.count_neighbours(before)
        reasons[driven.measured.stop_reason.partition(" ")[2]] += 1
    return tally, ended_s, reasons


def restarted() -> tuple[Tally, Driven]:
    """The server is killed and comes back within a second, under an open load."""
    tally = Tally()
    with nobody() as address:
        port = address[1]
    with ExitStack() as stack:
        first = stack.enter_context(TruthServer(HEALTHY, port=port))
        t_ns: list[int] = []

        def restart() -> None:
            t_ns.append(monotonic_ns())
            _kill(first.pid)
            stack.enter_context(TruthServer(HEALTHY, port=port))
            t_ns.append(monotonic_ns())

        timer = threading.Timer(1.0, restart)
        timer.start()
        stage = Stage(due_ns=np.arange(80, dtype=np.int64) * 50 * NS_PER_MS)
        driven = drive(("127.0.0.1", port), [{}] * 80, stage)
        timer.join()
    tally.outcomes.update(Outcome(o).name for o in driven.rows["outcome"])
    gone_ns, back_ns = (t - driven.origin_ns for t in t_ns)
    rows = driven.rows
    tally.count_neighbours(rows[(rows["t_end_ns"] < gone_ns) | (rows["t_due_ns"] > back_ns)])
    return tally, driven


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class SteppedClock(Clock):
    """A clock whose wall time jumps by `step_ns` 300 ms after the loop's first look at it.

    Kernel stamps stay on the other side of the step, which is the worst there can be.
    """

    __slots__ = ("step_ns", "t_step_ns")

    def offset(self) -> tuple[int, int, int]:
        t_ns, offset_ns, width_ns = super().offset()
        self.t_step_ns = min(self.t_step_ns, t_ns + 300 * NS_PER_MS)
        return t_ns, offset_ns + (self.step_ns if t_ns >= self.t_step_ns else 0), width_ns


def stepped(n_seeds: int) -> tuple[list[float], int]:
    """The wall clock steps by up to 10 s, to and fro. Returns: largest error of a chunk's instant, s; steps noted."""
    errors_s, n_steps = [], 0
    for seed in range(n_seeds):
        rng = random.Random(seed)
        clock = SteppedClock()
        clock.step_ns = round(rng.choice((-1, 1)) * 10 ** rng.uniform(-2, 1) * NS_PER_S)
        clock.t_step_ns = FAR_NS
        driven = drive_truth(HEALTHY, [{}] * 32, Stage(concurrency=4, n_requests=64), clock=clock)
        n_steps += driven.measured.n_clock_steps
        assert driven.log is not None
        for i, row in enumerate(driven.rows):
            steps = driven.log.steps_of(i)
            sent_ns = steps["t_before_ns"][steps["n_tokens"] > 0] - driven.origin_ns
            span = slice(row["chunk_start"], row["chunk_start"] + row["n_chunks"])
            chunks = driven.trace.chunks[span]
            received_ns = chunks["t_recv_ns"][chunks["kind"] == 1]
            errors_s.append(float(np.abs(received_ns - sent_ns).max()) / NS_PER_S)
    return errors_s, n_steps


# -- on the command line ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One command that must end with `code` and say `words`."""

    title: str
    url: str
    code: int
    words: str
    flags: tuple[str, ...] = ()
    prefix: str = ""


LOAD = ("--concurrency", "4", "--requests", "400", "--warmup", "0", "--input-tokens", "8", "--output-tokens", "8")


def command_line() -> Iterator[tuple[Case, int, float, str]]:
    """What a user sees: refusals before the run, and runs that end early. Yields: case, code, seconds, last words."""
    authority = trustme.CA()
    with ExitStack() as stack:
        trusted = os.environ | {"SSL_CERT_FILE": stack.enter_context(authority.cert_pem.tempfile())}

        def serving(*faults: str, **more: Any) -> str:
            mix = Prescription(ttft_ms=20, gap_ms=2, faults=faults, **more)
            return stack.enter_context(TruthServer(mix)).url

        def at(address: Any, scheme: str = "http") -> str:
            return f"{scheme}://127.0.0.1:{address[1]}"

        cases = [
            Case("DNS failure", "http://no-such-host.invalid", 3, "no-such-host.invalid"),
            Case("refused", at(stack.enter_context(nobody())), 3, "nothing listens"),
            Case("connect timeout", at(stack.enter_context(full_queue())), 3, "cannot be reached"),
            *[
                Case(
                    f"TLS, {kind}", at(stack.enter_context(tls_server(certificate(kind, authority))), "https"), 3, words
                )
                for kind, words in CERTIFICATES.items()
            ],
            Case("401 to every question", serving(status=401), 3, "401"),
            Case("401 while measured", serving("401"), 3, f"HTTP 401: {SAID}", LOAD),
            Case("429 while measured", serving("429", retry_after_s=7), 3, "(retry after 7 s)", LOAD),
            Case("500 with an HTML page", serving("500_html"), 3, f"HTTP 500: 500 {SAID}", LOAD),
            Case("503 with an empty body", serving("503_empty"), 3, "HTTP 503", LOAD),
            Case("disk full", serving(), 4, "cannot write", LOAD, "ulimit -f 200; "),
        ]
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                t_ns = monotonic_ns()
                argv = [sys.executable, "-m", "inferometer", "run", case.url, *case.flags, "--quiet", "--out", "run"]
                done = subprocess.run(
                    ["sh", "-c", f'{case.prefix}exec "$@"', "sh", *argv],
                    cwd=folder, env=trusted, capture_output=True, text=True, timeout=120, check=False,
                )  # fmt: skip
            said = done.stderr + done.stdout
            last = next((text for text in reversed(said.splitlines()) if case.words in text), said[-200:])
            yield case, done.returncode, (monotonic_ns() - t_ns) / NS_PER_S, last.strip()


# -- all of it --------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="", help="names of faults, or mixed, before, mid-run, command-line")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name]
    n_wrong = 0
    for name, part in PARTS.items():
        if not only or name in only or (name == "alone" and not set(only) & set(PARTS)):
            n_wrong += part(options.seeds, only)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory of the measuring process over all of this: {peak_mb:,.0f} MB.")
    print(f"Not as expected: {n_wrong}.")
    sys.exit(n_wrong > 0)


def print_alone(n_seeds: int, only: Sequence[str]) -> int:
    table(*HEADS)
    n_wrong = 0
    names = set(only) - set(PARTS)
    for fault in FAULTS:
        if not names or fault.name in names:
            tally = alone(fault, n_seeds)
            print(line(fault, tally), flush=True)
            complain(tally)
            n_wrong += len(tally.wrong)
    return n_wrong


def print_mixed(n_seeds: int, only: Sequence[str]) -> int:
    found = mixed(n_seeds)
    table(*HEADS[:-1])
    n_wrong = found.healthy.n_neighbours - found.healthy.n_neighbours_ok
    for fault in MIXED:
        tally = found.tallies.get(fault.name, Tally())
        print(line(fault, tally).rpartition(" | ")[0] + " |", flush=True)
        complain(tally)
        n_wrong += len(tally.wrong)
    print(
        f"\nHealthy requests: {found.healthy.n_neighbours_ok:,} of {found.healthy.n_neighbours:,} ok, "
        f"{found.healthy.n_retried} sent twice."
    )
    heads = ("inside the interval", "a second run without faults", "moved by, at most", "median width of the interval")
    table("healthy neighbours", *heads)
    for key in COMPARED:
        moved_ms = 1e3 * max(found.moved_s[key], key=abs)
        width_ms = 1e3 * float(np.median(found.widths_s[key]))
        inside = f"{found.inside[key]} of {n_seeds} | {found.inside_again[key]} of {n_seeds}"
        print(f"| {' '.join(key)} | {inside} | {moved_ms:+.2f} ms | {width_ms:.2f} ms |")
    table("the client's part, p99 of each run", "without faults: median, at most", "with faults: median, at most")
    for what in OURS:
        cells = [1e3 * np.array(found.ours_s[what, name]) for name in ("without", "with")]
        print(f"| {what} | " + " | ".join(f"{np.median(cell):.3f}, {cell.max():.3f} ms" for cell in cells) + " |")
    return n_wrong


def print_before(n_seeds: int, only: Sequence[str]) -> int:
    table(*HEADS[:-1], "a long run ended after")
    n_wrong = 0
    for fault, tally, reason in before_http(n_seeds):
        print(line(fault, tally).rpartition(" | ")[0] + f" | {reason} |", flush=True)
        complain(tally)
        n_wrong += len(tally.wrong)
    return n_wrong


def print_mid_run(n_seeds: int, only: Sequence[str]) -> int:
    table("in mid-run", "seen", "")
    tally, ended_s, reasons = dying(n_seeds)
    seen = ", ".join(f"{name} {n:,}" for name, n in tally.outcomes.most_common())
    print(
        f"| the server is killed | {seen} | all {tally.n_neighbours_ok:,} of {tally.n_neighbours:,} that had ended "
        f"before are ok; the run is over at most {1e3 * max(ended_s):.0f} ms later: {reasons.most_common(1)[0][0]} |",
        flush=True,
    )
    n_wrong = tally.n_neighbours - tally.n_neighbours_ok
    tally, driven = restarted()
    seen = ", ".join(f"{name} {n:,}" for name, n in tally.outcomes.most_common())
    print(
        f"| the server is killed and comes back | {seen} | {tally.n_neighbours_ok} of {tally.n_neighbours} before and "
        f"after are ok; the run ended {driven.measured.stop_reason or 'as planned'} |"
    )
    n_wrong += tally.n_neighbours - tally.n_neighbours_ok
    errors_s, n_steps = stepped(n_seeds)
    print(
        f"| the wall clock steps by 10 ms to 10 s | {n_steps} steps noted in {n_seeds} runs | instants of chunks are "
        f"off by {1e3 * float(np.median(errors_s)):.2f} ms in the median request, {1e3 * max(errors_s):.2f} at most |"
    )
    return n_wrong


def print_command_line(n_seeds: int, only: Sequence[str]) -> int:
    table("command line", "exit code", "after", "says")
    n_wrong = 0
    for case, code, seconds, words in command_line():
        is_right = code == case.code and case.words in words
        n_wrong += not is_right
        shown = f"{code}" if is_right else f"**{code}, {case.code} expected**"
        print(f"| {case.title} | {shown} | {seconds:.1f} s | {words} |", flush=True)
    return n_wrong


PARTS: dict[str, Callable[[int, Sequence[str]], int]] = {
    "alone": print_alone,
    "mixed": print_mixed,
    "before": print_before,
    "mid-run": print_mid_run,
    "command-line": print_command_line,
}


if __name__ == "__main__":
    main()

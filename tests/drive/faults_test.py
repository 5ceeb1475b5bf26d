# SPDX-License-Identifier: Apache-2.0
"""Every fault a server can show: its outcome, the server's own words, and neighbours that do not notice.

All of them strike in one run, each between two healthy requests. Over twenty seeds, alone and mixed, with times:
benchmarks/faults.py.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import socket
import ssl
import threading
import typing

import pytest
import trustme

from inferometer.clock import Clock, sleep_s
from inferometer.drive.arrivals import FAR_NS
from inferometer.drive.connection import READ_BYTES, Target
from inferometer.drive.loop import Options
from inferometer.kinds import TOKEN_BEARING, Outcome
from inferometer.metrics.samples import series
from inferometer.plan.schedule import Stage
from inferometer.recorder import Writer
from inferometer.truth.script import FaultName
from inferometer.units import NS_PER_MS, NS_PER_S
from inferometer.wire.tls import make_context

OPTIONS = Options(timeout_ns=2_500 * NS_PER_MS, stall_timeout_ns=1_000 * NS_PER_MS)
HEALTHY = {"ttft_ms": 20, "gap_ms": 2}
SAID = "the ground-truth server was asked to fail"

FAULTS = {
    "400": ({"status": 400}, "HTTP_STATUS", f"HTTP 400: {SAID}"),
    "401": ({"status": 401}, "HTTP_STATUS", f"HTTP 401: {SAID}"),
    "404_html": ({"status": 404, "body_type": "html"}, "HTTP_STATUS", f"HTTP 404: 404 {SAID}"),
    "413_empty": ({"status": 413, "body_type": "empty"}, "HTTP_STATUS", "HTTP 413: Content Too Large"),
    "429": ({"status": 429, "retry_after_s": 7}, "HTTP_STATUS", f"HTTP 429: {SAID} (retry after 7 s)"),
    "429_empty": ({"status": 429, "retry_after_s": 7, "body_type": "empty"}, "HTTP_STATUS", "(retry after 7 s)"),
    "500_html": ({"status": 500, "body_type": "html"}, "HTTP_STATUS", f"HTTP 500: 500 {SAID}"),
    "503": ({"status": 503}, "HTTP_STATUS", f"HTTP 503: {SAID}"),
    "reset_before_head": ({}, "RESET", "reset"),
    "reset_in_head": ({}, "RESET", "reset"),
    "reset": ({}, "RESET", "reset"),
    "truncate": ({}, "TRUNCATED", "closed before the end"),
    "end_early": ({}, "TRUNCATED", "without a finish reason"),
    "empty": ({}, "TRUNCATED", "no token"),
    "stall": ({"fault_ms": 60_000}, "STALLED", "silent for 1 s"),
    "never_ends": ({}, "STALLED", "silent for 1 s"),
    "never_answers": ({}, "STALLED", "silent for 1 s"),
    "flood": ({"gap_ms": 50}, "DEADLINE", "not finished after 2.5 s"),
    "bad_json": ({}, "PROTOCOL", "not JSON"),
    "bad_chunk_size": ({}, "PROTOCOL", "instead of its size"),
    "wrong_chunk_size": ({}, "PROTOCOL", "longer than its size says"),
    "not_http": ({}, "PROTOCOL", "not HTTP/1.1"),
    "big_head": ({"fault_bytes": 200_000}, "PROTOCOL", "the head is longer than"),
    "big_event": ({"fault_bytes": 17_000_000}, "PROTOCOL", "an event of the stream is longer than"),
    "html_page": ({}, "PROTOCOL", "not JSON"),
    "wrong_type": ({}, "OK", ""),
    "not_streamed": ({}, "OK", ""),
    "error_event": ({}, "ENGINE_ERROR", SAID),
    "named_error_event": ({}, "ENGINE_ERROR", SAID),
    "held_open": ({}, "OK", ""),
    "echo_authorization": ({}, "HTTP_STATUS", "invalid credentials"),
}
CONNECTIONS = {"none", "idle_close", "drop_reuse"}  # what becomes of them shows in the next request


def test_no_fault_of_the_server_is_left_out():
    assert set(typing.get_args(FaultName)) - CONNECTIONS <= set(FAULTS)


@pytest.fixture(scope="module")
def rows(module_drive):
    """One run: before and after each struck request a healthy one. Rows of the struck ones by name, and the others."""
    truths = []
    for name, (more, _, _) in FAULTS.items():
        is_status = name[0].isdigit()
        truths += [HEALTHY, HEALTHY | ({} if is_status else {"fault": name, "fault_at": 3}) | more]
    driven = module_drive([*truths, HEALTHY], Stage(concurrency=8, n_requests=len(truths) + 1), options=OPTIONS)
    assert driven.measured.stop_reason == ""
    return dict(zip(FAULTS, driven.requests[1::2], strict=True)), driven.requests[::2]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_outcome_in_the_servers_words(rows, name):
    _, outcome, words = FAULTS[name]
    row = rows[0][name]
    assert (Outcome(row["outcome"]).name, row["error"]) == (outcome, row["error"])
    assert words in row["error"]
    assert bool(row["error"]) == (outcome != "OK")
    assert row["attempt"] == (2 if name == "reset_before_head" and row["attempt"] == 2 else 1)


def test_neighbours_do_not_notice(rows):
    assert {Outcome(o).name for o in rows[1]["outcome"]} == {"OK"}
    assert set(rows[1]["n_output_tokens"].tolist()) == {10}


@pytest.mark.parametrize("name", ["stall", "never_ends", "never_answers", "flood"])
def test_what_does_not_end_is_ended_not_before_its_time(rows, name):
    row = rows[0][name]
    since, limit_ns = ("t_due_ns", OPTIONS.timeout_ns) if name == "flood" else ("t_sent_ns", OPTIONS.stall_timeout_ns)
    assert row["t_end_ns"] - row[since] >= limit_ns


def test_an_idle_connection_closed_as_a_request_goes_out_costs_nothing_but_a_mark(drive):
    # The close comes 0 to 1.4 ms after the answer, the next request 0.1 to 1 ms after it: before, after, in between.
    truths = [HEALTHY | {"fault": "idle_close", "fault_ms": 0.1 * i} for i in range(15)]
    driven = drive(truths, Stage(concurrency=1, n_requests=15))
    assert {Outcome(o).name for o in driven.requests["outcome"]} == {"OK"}
    assert set(driven.requests["attempt"].tolist()) <= {1, 2}
    assert (driven.requests["t_sent_ns"] >= driven.requests["t_due_ns"]).all()


def test_a_message_left_open_is_good_also_where_silence_is_not_borne_that_long(drive):
    options = Options(timeout_ns=5_000 * NS_PER_MS, stall_timeout_ns=300 * NS_PER_MS)
    driven = drive([HEALTHY | {"fault": "held_open"}], options=options)
    row = driven.requests[0]
    assert Outcome(row["outcome"]) is Outcome.OK
    assert row["t_end_ns"] - row["t_last_content_ns"] < 300 * NS_PER_MS, "it ended with its last byte"


def test_a_flood_is_cut_off_by_its_size(drive):
    options = Options(timeout_ns=20 * NS_PER_S, max_answer_bytes=8 << 20)
    driven = drive([HEALTHY | {"fault": "flood", "gap_ms": 0}, HEALTHY], options=options)
    assert [Outcome(o).name for o in driven.requests["outcome"]] == ["PROTOCOL", "OK"]
    assert driven.requests["error"][0] == "the answer is longer than 8 MiB"
    assert driven.requests["n_bytes"][0] < 10 << 20


def test_a_stream_of_whole_chunks_is_cut_off_by_the_read_that_is_too_much(drive):
    driven = drive([HEALTHY | {"n_chunks": 200, "gap_ms": 1}], options=Options(max_answer_bytes=10_000))
    row = driven.requests[0]
    assert Outcome(row["outcome"]) is Outcome.PROTOCOL
    assert 10_000 < row["n_bytes"] <= 10_000 + READ_BYTES


class SlowDisk(Writer):
    """It takes 0.6 s over the block in which the tenth read stands."""

    __slots__ = ("n_read",)

    def read(self, request_id, t_recv_ns, t_read_ns, n_bytes, data):
        self.n_read = getattr(self, "n_read", 0) + 1
        if self.n_read == 10:
            sleep_s(0.6)
        super().read(request_id, t_recv_ns, t_read_ns, n_bytes, data)


def test_while_we_are_away_nobody_is_silent_or_late(drive):
    options = Options(timeout_ns=900 * NS_PER_MS, stall_timeout_ns=300 * NS_PER_MS)
    driven = drive([{"ttft_ms": 50, "gap_ms": 50}] * 2, options=options, disk=SlowDisk)
    assert {Outcome(o).name for o in driven.requests["outcome"]} == {"OK"}


class SlowBlock(Writer):
    """It takes 0.1 s to write the third block."""

    __slots__ = ("n_blocks",)

    def flush(self):
        self.n_blocks = getattr(self, "n_blocks", 0) + bool(self._pending)
        if self._pending and self.n_blocks == 3:
            sleep_s(0.1)
        super().flush()


class StoppedBlock(SlowBlock):
    """As if the process had been stopped meanwhile: what it sees of a stop is the signal to go on."""

    __slots__ = ()

    def flush(self):
        super().flush()
        if self.n_blocks == 3:
            os.kill(os.getpid(), signal.SIGCONT)


@pytest.mark.parametrize(("disk", "least_s", "most_s"), [(SlowBlock, 0.1, 1), (StoppedBlock, 0, 0.01)])
def test_a_stop_in_mid_write_is_not_the_disks(drive, disk, least_s, most_s):
    driven = drive([HEALTHY] * 2, disk=disk)
    _, away_s = series(driven.trace.samples, "client", "away_s")
    _, write_s = series(driven.trace.samples, "client", "away_write_s")
    longest = away_s.argmax()
    assert away_s[longest] >= 0.1
    assert least_s <= write_s[longest] <= most_s
    _, stopped = series(driven.trace.samples, "client", "away_stopped")
    assert stopped[longest] == (disk is StoppedBlock)


# -- before HTTP ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def tls_server(certificate: trustme.LeafCert):
    """Shakes hands, and no more: its clients leave."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def serve():
        with contextlib.suppress(OSError):  # closed
            while True:
                sock, _ = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
                    tls.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()


@pytest.mark.parametrize("kind", ["expired", "another host", "unknown authority"])
def test_a_certificate_that_does_not_hold_is_the_outcome_tls(drive_target, tmp_path, kind):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    certificate, words = {
        "expired": (
            authority.issue_cert("engine.test", not_before=long_ago, not_after=long_ago.replace(year=2002)),
            "certificate has expired",
        ),
        "another host": (authority.issue_cert("other.test"), "not valid for 'engine.test'"),
        "unknown authority": (trustme.CA().issue_cert("engine.test"), "unable to get local issuer certificate"),
    }[kind]
    with tls_server(certificate) as address:
        context = make_context(False, str(tmp_path / "ca.pem"))
        driven = drive_target(Target(socket.AF_INET, address, "engine.test", context), 3)
    assert {Outcome(o).name for o in driven.requests["outcome"]} == {"TLS"}
    for error in driven.requests["error"]:
        assert error.startswith("certificate refused: ")
        assert words in error


@contextlib.contextmanager
def full_queue():
    """A listener whose queue is full: the kernel drops what else comes, as a firewall does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_no_connection_in_time_is_a_connect_timeout_and_no_stall(drive_target):
    options = Options(timeout_ns=700 * NS_PER_MS, stall_timeout_ns=100 * NS_PER_MS)
    with full_queue() as address:
        driven = drive_target(Target(socket.AF_INET, address, "engine.test"), 3, options=options)
    assert {Outcome(o).name for o in driven.requests["outcome"]} == {"CONNECT_TIMEOUT"}
    assert set(driven.requests["error"].tolist()) == {"no connection after 0.7 s"}


# -- the clock --------------------------------------------------------------------------------------------------------


class SteppedClock(Clock):
    """Its wall time jumps 120 ms after the loop's first look at it.

    The kernel's stamps stay on the other side of the step, which is the worst there can be.
    """

    __slots__ = ("step_ns", "t_first_ns")

    def offset(self):
        t_ns, offset_ns, width_ns = super().offset()
        self.t_first_ns = min(self.t_first_ns, t_ns)
        is_before = t_ns < self.t_first_ns + 120 * NS_PER_MS
        return t_ns, offset_ns if is_before else offset_ns + self.step_ns, width_ns


@pytest.mark.parametrize("step_ns", [NS_PER_S, -NS_PER_S])
def test_a_step_of_the_wall_clock_is_noted_and_moves_no_latency(drive, step_ns):
    clock = SteppedClock()
    clock.step_ns, clock.t_first_ns = step_ns, FAR_NS
    driven = drive([{"ttft_ms": 100, "gap_ms": 10}] * 4, clock=clock)
    assert driven.measured.n_clock_steps == 1
    samples = driven.decoded.samples
    assert samples["value"][samples["gauge"] == "step_s"].tolist() == [pytest.approx(step_ns / NS_PER_S, abs=0.001)]
    chunks = driven.decoded.chunks
    for row in driven.requests:
        sent = driven.log.steps_of(int(row["id"]))
        own = chunks[row["chunk_start"] : row["chunk_start"] + row["n_chunks"]]
        late_ns = own["t_recv_ns"][[kind in TOKEN_BEARING for kind in own["kind"]]] - (
            sent["t_before_ns"][sent["n_tokens"] > 0] - clock.origin_ns
        )
        assert late_ns.min() >= -5_000, "nothing is received before it was sent"
        assert late_ns.max() < NS_PER_S // 2, "no stamp carries the step"

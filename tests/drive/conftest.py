# SPDX-License-Identifier: Apache-2.0
"""Drives the real loop against the real ground-truth server, and hands back both sides' records."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from inferometer.clock import Clock
from inferometer.drive.connection import Target
from inferometer.drive.decode import Asked, Decoded, decode
from inferometer.drive.loop import Options
from inferometer.engines.openai import CHAT
from inferometer.host.launch import free_port
from inferometer.measurement import Job, Measured, Measurement
from inferometer.plan.request import Request
from inferometer.plan.schedule import Schedule, Stage
from inferometer.recorder import Writer
from inferometer.records import Trace
from inferometer.truth.launch import TruthServer
from inferometer.truth.log import TruthLog
from inferometer.units import NS_PER_MS
from inferometer.wire.http1 import encode_request

N_OUTPUT_TOKENS = 10
N_PROMPT_TOKENS = 2


@dataclass(frozen=True)
class Driven:
    decoded: Decoded
    trace: Trace
    log: TruthLog | None
    measured: Measured
    recorder_bytes: bytes

    @property
    def requests(self):
        return self.decoded.requests


def payloads(truths: list[dict[str, Any]], headers=()) -> list[bytes]:
    """One request per prescription, as bytes."""
    out = []
    for i, truth in enumerate(truths):
        encoded = CHAT.encode(Request(i, "hello there", N_PROMPT_TOKENS, N_OUTPUT_TOKENS), "m", {"truth": truth})
        fields = [("host", "truth"), ("content-type", "application/json"), ("x-request-id", f"{i}-t"), *headers]
        out.append(encode_request("POST", encoded.path, fields, encoded.body))
    return out


def measure(
    path,
    port,
    truths,
    stage=None,
    *,
    options=None,
    headers=(),
    secrets=(),
    observer=None,
    clock=None,
    target=None,
    disk=Writer,
):
    """Drive one stage against a port of this machine, or a target: what was measured, the origin of the run's axis."""
    stage = stage or Stage(concurrency=len(truths), n_requests=len(truths))
    options = options or Options(timeout_ns=5_000 * NS_PER_MS, stall_timeout_ns=2_000 * NS_PER_MS)
    clock = clock or Clock()
    recorder = disk(path)
    target = target or Target(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1", secrets=secrets)
    schedule = Schedule("closed", "test", ((stage,),))
    job = Job(target, payloads(truths, headers), schedule, CHAT, recorder, clock, options, observer=observer)
    measured = Measurement(job).run()
    recorder.close()
    return measured, clock.origin_ns


def records(path, measured, origin_ns, log) -> Driven:
    decoded = decode([path], CHAT, Asked([N_PROMPT_TOKENS], [N_OUTPUT_TOKENS]))
    trace = Trace(decoded.requests, decoded.chunks, decoded.samples, {"clock": {"origin_ns": origin_ns}})
    return Driven(decoded, trace, log, measured, path.read_bytes())


def drive_truth(path, truths, stage=None, **more) -> Driven:
    with TruthServer() as server:
        measured, origin_ns = measure(path, server.port, truths, stage, **more)
        log = server.stop()
    return records(path, measured, origin_ns, log)


@pytest.fixture
def drive(tmp_path):
    """drive(truths, stage, ...) -> Driven; `truths[i]` prescribes the answer to request i."""
    return partial(drive_truth, tmp_path / "recorder.bin")


@pytest.fixture(scope="module")
def module_drive(tmp_path_factory):
    """The same, once, for a run that several tests of a module look at."""
    return partial(drive_truth, tmp_path_factory.mktemp("drive") / "recorder.bin")


@pytest.fixture
def drive_target(tmp_path):
    """drive_target(target, n_requests, ...) -> Driven; all requests at once."""

    def run(target, n_requests, **more) -> Driven:
        path = tmp_path / "recorder.bin"
        measured, origin_ns = measure(path, 0, [{}] * n_requests, target=target, **more)
        return records(path, measured, origin_ns, None)

    return run


@pytest.fixture
def drive_nowhere(tmp_path):
    """The same against a port that nobody listens on."""

    def run(n_requests) -> Driven:
        path = tmp_path / "recorder.bin"
        stage = Stage(concurrency=2, n_requests=n_requests)
        measured, origin_ns = measure(path, free_port(), [{}] * n_requests, stage)
        return records(path, measured, origin_ns, None)

    return run

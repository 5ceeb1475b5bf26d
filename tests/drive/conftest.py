# SPDX-License-Identifier: Apache-2.0
"""Drives the real loop against the real ground-truth server, and hands back both sides' records."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import pytest

from inferometer.clock import Clock
from inferometer.drive.connection import Target
from inferometer.drive.decode import Asked, Decoded, decode
from inferometer.drive.loop import Options
from inferometer.engines.openai import CHAT
from inferometer.measurement import Measured, Measurement
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
    log: TruthLog
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


@pytest.fixture
def drive(tmp_path):
    """drive(truths, stage, ...) -> Driven; `truths[i]` prescribes the answer to request i."""

    def run(truths, stage=None, *, options=None, headers=(), secrets=(), observer=None) -> Driven:
        stage = Stage(concurrency=len(truths), n_requests=len(truths)) if stage is None else stage
        options = (
            Options(timeout_ns=5_000 * NS_PER_MS, stall_timeout_ns=2_000 * NS_PER_MS) if options is None else options
        )
        path = tmp_path / "recorder.bin"
        clock = Clock()
        recorder = Writer(path)
        with TruthServer() as server:
            target = Target(socket.AF_INET, ("127.0.0.1", server.port), "127.0.0.1", secrets=secrets)
            schedule = Schedule("closed", "test", ((stage,),))
            measurement = Measurement(
                target, payloads(truths, headers), schedule, CHAT, recorder, clock, options, [], observer
            )
            measured = measurement.run()
            recorder.close()
            log = server.stop()
        decoded = decode(path, CHAT, Asked([N_PROMPT_TOKENS], [N_OUTPUT_TOKENS]))
        trace = Trace(decoded.requests, decoded.chunks, decoded.samples, {"clock": {"origin_ns": clock.origin_ns}})
        return Driven(decoded, trace, log, measured, path.read_bytes())

    return run

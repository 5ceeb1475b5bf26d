# SPDX-License-Identifier: Apache-2.0
"""A bench with an emulated engine on it, shared by the tests of a file."""

from __future__ import annotations

import pytest

from inferometer.config import resolve
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.probes.bench import bench


class Silent:
    """An observer that keeps what it is told."""

    wants_latencies = False

    def __init__(self):
        self.said = []

    def on_start(self, *args):
        pass

    def on_progress(self, *args):
        pass

    def say(self, text):
        self.said.append(text)


@pytest.fixture(scope="module")
def on_bench(tmp_path_factory):
    law = ServiceLaw(a=0.5, b=0.002, c=0.01, d=0.0)
    with EmulatedEngine(make_setting("vllm", slots=4, context=2048, law=law, seed=1)) as server:
        config = resolve({"url": f"http://127.0.0.1:{server.port}", "out": str(tmp_path_factory.mktemp("b") / "bench")})
        with bench(config, Silent(), what="test", greatest=config, budget_s=60.0) as found:
            yield found

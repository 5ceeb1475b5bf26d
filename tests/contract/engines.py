# SPDX-License-Identifier: Apache-2.0
"""The engines of the contract, and what is asked of each: how it is started, and the bounds it must keep.

Rule 1: they are the real ones, started by our own launch code with the trained model in the format that they take.
Rule 2: an engine that cannot be started here is a failure, never a test that is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inferometer.clock import Clock
from inferometer.embedded.models import folder_models
from inferometer.engines.registry import dialects, engines
from inferometer.experiment.starting import Load, Start, launched, prepare
from inferometer.host.ask import ServerFacts, ask
from inferometer.host.control import Control
from inferometer.host.launch import Server
from inferometer.host.scrape import Scraper

REPOSITORY = Path(__file__).parents[2]
CONTEXT_TOKENS = 1024
N_SLOTS = 4


@dataclass(frozen=True)
class Contract:
    """One engine's part. `model`: as given to --model; `is_misled`: served out of a copy of the trained model whose
    generation_config.json would change every answer, if the engine were not told to leave it alone; `env`: set while it
    is started; `version`: what its own answer to that begins with. `max_outside_s`: of the client's time to a first
    token, what lies outside of the engine's own, at most, at the lowest decile (what else the machine does only adds to
    it); `follows_within_s`: from its client's leaving until the gauges say so.
    `says_too_long`: words of its refusal of a prompt that is longer than the context."""

    name: str
    version: str
    says_too_long: str
    extra: tuple[str, ...] = ()
    model: str = "trained"
    is_misled: bool = False
    env: dict[str, str] = field(default_factory=dict)
    ready_within_s: float = 60.0
    max_outside_s: float = 0.005
    follows_within_s: float = 5.0


CONTRACTS = {
    "llamacpp": Contract("llamacpp", "b", "exceeds the available context size"),
    "vllm": Contract(
        "vllm",
        "0.32",
        "maximum context length",
        extra=("--enable-scale-out", "--enforce-eager"),
        is_misled=True,
        env={"VLLM_CPU_KVCACHE_SPACE": "1"},
        ready_within_s=300.0,
        max_outside_s=0.020,
    ),
}
APIS = ("chat", "completions", "native")  # the contract covers all that either engine speaks; a test says so


@dataclass(frozen=True)
class Running:
    """An engine that was started."""

    contract: Contract
    start: Start
    server: Server

    @property
    def url(self) -> str:
        return self.start.url

    def ask(self, api: str | None = None) -> ServerFacts:
        """What the tool finds out of the URL and nothing else."""
        return ask(self.url, engines=engines(), dialects=dialects(), api=api)

    def gauges(self) -> dict[str, float]:
        """Its gauges now, in our vocabulary."""
        assert self.start.engine.gauges is not None
        with Control(self.url) as control:
            scraper = Scraper(control, self.start.engine.gauges, Clock())
            found = dict(scraper.read().gauges)
        assert scraper.last_error == ""
        return found


@contextmanager
def started(contract: Contract, folder: Path) -> Iterator[Running]:
    """It runs while the block does."""
    with _environment(contract):
        settings = [f"max_concurrency={N_SLOTS}", f"context={CONTEXT_TOKENS}", "seed=0"]
        load = Load(2 * N_SLOTS, N_SLOTS, CONTEXT_TOKENS, n_cores=1)
        model = _misled(folder) if contract.is_misled else contract.model
        start = prepare(contract.name, model, settings, contract.extra, load)
        with launched(start, folder / "engine.log", ready_within_s=contract.ready_within_s) as server:
            yield Running(contract, start, server)


def _misled(folder: Path) -> str:
    """A copy of the trained model, under the name that it is served by, with settings in its folder that nobody wants
    to measure: greedy answers may not repeat a token."""
    trained = next(model for model in folder_models() if model.name == "trained")
    copy = folder / trained.served
    shutil.copytree(trained.ensure(), copy)
    path = copy / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repetition_penalty": 3.0}))
    return str(copy)


@contextmanager
def _environment(contract: Contract) -> Iterator[None]:
    """Its variables, and for vLLM the folder of its program in front of PATH."""
    before = dict(os.environ)
    if contract.name == "vllm":
        made = subprocess.run(
            ["bash", str(REPOSITORY / "scripts" / "vllm")], stdout=subprocess.PIPE, text=True, check=True
        )
        os.environ["PATH"] = f"{Path(made.stdout.strip()).parent}{os.pathsep}{before['PATH']}"
        assert shutil.which("vllm") == made.stdout.strip()
    os.environ.update(contract.env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

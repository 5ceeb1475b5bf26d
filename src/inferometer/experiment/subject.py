# SPDX-License-Identifier: Apache-2.0
"""The server that is measured: found at its URL, or started by us and stopped in the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from inferometer import embedded
from inferometer.config import Experiment
from inferometer.embedded import models
from inferometer.embedded.server import command as embedded_command
from inferometer.errors import UsageError
from inferometer.experiment.sizing import shape_of
from inferometer.host.control import port_of
from inferometer.host.launch import Server, divide_cores, family, launch, listeners, place_port
from inferometer.plan import make as planning
from inferometer.plan.lengths import Lengths
from inferometer.run_folder import ENGINE_LOG, Run
from inferometer.secrecy import unwritten

OPEN_LOOP_SLOTS = 8  # of the embedded engine, where no concurrency was asked for
N_OPEN_CONNECTIONS = 256  # that the embedded engine has threads for in open loop


@dataclass(frozen=True, slots=True)
class Subject:
    """The server that is measured. `model`: the one to ask for, None: the server's only one. `server` is there if we
    started it; `client_cores` if some were kept for us."""

    url: str
    model: str | None
    server: Server | None = None
    client_cores: tuple[int, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, as far as its address tells."""
        return self.server is not None or urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")


def check_embedded(config: Experiment) -> None:
    """Raises: UsageError if there is no such model, or it cannot hold what the run asks for."""
    chosen, shape = models.choose(config.model), shape_of(config)
    n_tokens = math.ceil(shape.inputs.mean + shape.outputs.mean)
    if n_tokens > chosen.context_tokens:
        other = next((m.name for m in models.models() if m.context_tokens >= n_tokens), None)
        raise UsageError(
            f"{n_tokens:,} tokens of prompt and answer do not fit the {chosen.context_tokens:,} of {chosen.served}",
            "lower --input-tokens or --output-tokens" + (f", or take --model {other}" if other else ""),
        )


@contextmanager
def log_folder(config: Experiment, run_: Run) -> Iterator[Path]:
    """Where the engine's output goes: the run's folder, unless no content may stay, for some engines print prompts."""
    if config.keeps_content:
        yield run_.path
        return
    with TemporaryDirectory(prefix="inferometer-log-") as folder:
        yield Path(folder)


@contextmanager
def started(config: Experiment, shape: planning.Shape, run_: Run, say: Callable[[str], None]) -> Iterator[Subject]:
    """Start the embedded engine, or the command given, and stop it in the end."""
    client_cores: list[int] = []
    engine_cores: list[int] | None = None
    if config.is_embedded:
        model = _model(models.choose(config.model), say)
        client_cores, engine_cores = divide_cores(config.workers or 1)
        command = _embedded_command(config, shape, model, n_threads=len(engine_cores or [0]))
    else:
        command = list(config.command)
    argv, url = place_port(command, config.url)
    say(f"starting  {'the embedded engine' if config.is_embedded else argv[0]} at {url}")
    with (
        log_folder(config, run_) as folder,
        launch(
            argv,
            base_url=url,
            log_path=folder / ENGINE_LOG,
            ready_within_s=config.ready_timeout_s,
            cpus=engine_cores,
            secrets=[secret.decode(errors="surrogateescape") for secret in unwritten(config.headers())],
        ) as server,
    ):
        yield Subject(url, None if config.is_embedded else config.model, server, tuple(client_cores))


def _model(chosen: models.EmbeddedModel, say: Callable[[str], None]) -> Path:
    embedded.require("xllamacpp")
    say(f"model     {chosen.served}, of the embedded engine (its file is written on first use)")
    return chosen.ensure()


def _embedded_command(config: Experiment, shape: planning.Shape, model: Path, *, n_threads: int) -> list[str]:
    n_slots = config.concurrency or OPEN_LOOP_SLOTS
    if config.burst:
        n_connections = config.requests or 1
    else:
        n_connections = config.concurrency or N_OPEN_CONNECTIONS
    return embedded_command(
        model,
        n_slots=n_slots,
        n_threads=n_threads,
        context_tokens=_longest(shape.inputs) + _longest(shape.outputs) + 64,
        n_connections=n_connections,
    )


def _longest(lengths: Lengths) -> int:
    """A bound that practically no draw exceeds; the rest is clipped, and said."""
    if lengths.kind in ("fixed", "uniform"):
        return int(max(lengths.a, lengths.b))
    if lengths.kind == "normal":
        return math.ceil(lengths.a + 4 * lengths.b)
    if lengths.kind == "lognormal":
        return min(8192, math.ceil(lengths.a * math.exp(4 * lengths.b)))
    return 4096


def engine_pids(subject: Subject) -> list[int]:
    """Processes of the server, as far as they are on this machine and ours to see."""
    if subject.server is not None:
        return subject.server.pids()
    if not subject.is_local:
        return []
    found = [family(pid) for pid in listeners(port_of(subject.url))]
    return list(dict.fromkeys(pid for pids in found for pid in pids))

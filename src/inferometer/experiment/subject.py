# SPDX-License-Identifier: Apache-2.0
"""The server that is measured: found at its URL, or started by us and stopped in the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from inferometer import embedded
from inferometer.config import Experiment
from inferometer.drive.progress import Observer
from inferometer.embedded import models
from inferometer.embedded.server import command as embedded_command
from inferometer.errors import UsageError
from inferometer.experiment.pace import Pace
from inferometer.experiment.sizing import shape_of
from inferometer.experiment.starting import Load, Start, launch_of, launched, prepare
from inferometer.host.control import port_of
from inferometer.host.environment import n_cores_usable
from inferometer.host.launch import Server, divide_cores, family, launch, listeners, place_port
from inferometer.plan import make as planning
from inferometer.plan.lengths import Lengths
from inferometer.run_folder import ENGINE_LOG
from inferometer.secrecy import unwritten

OPEN_LOOP_SLOTS = 8  # of the embedded engine, where no concurrency was asked for
COMMAND_READY_WITHIN_S = 300.0
N_OPEN_CONNECTIONS = 256  # that the embedded engine has threads for in open loop


@dataclass(frozen=True, slots=True)
class Subject:
    """The server that is measured. `model`: the one to ask for, None: the server's only one. `server` is there if we
    started it; `client_cores` if some were kept for us; `start` if it was named as an engine; `serves_many`: several
    runs, so its caches may know an earlier one's prompts; `pace`: of its requests, as these runs saw it."""

    url: str
    model: str | None
    server: Server | None = None
    client_cores: tuple[int, ...] = ()
    start: Start | None = None
    serves_many: bool = False
    pace: Pace = field(default_factory=Pace)

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
def log_folder(config: Experiment, kept: Path) -> Iterator[Path]:
    """Where the engine's output goes: the folder given, unless no content may stay, for some engines print prompts."""
    if config.keeps_content:
        yield kept
        return
    with TemporaryDirectory(prefix="inferometer-log-") as folder:
        yield Path(folder)


def start_of(config: Experiment, *, is_dry: bool = False) -> Start:
    """The engine that --engine names, told what this load needs.

    Raises: UsageError; EngineError if it cannot be started on this machine, or its model cannot be had.
    """
    _, plan = launch_of(config.engine or "")
    _, cores = divide_cores(config.workers or 1) if plan.divides_cores else ([], None)
    shape = shape_of(config)
    load = Load(
        n_connections=_n_connections(config),
        max_concurrency=config.concurrency or OPEN_LOOP_SLOTS,
        context=longest_request(shape),
        n_cores=len(cores) if cores else n_cores_usable(),
    )
    start = prepare(
        config.engine or "",
        config.model,
        config.settings,
        config.command,
        load,
        revision=config.revision,
        is_dry=is_dry,
    )
    if start.obstacles and not is_dry:
        raise start.obstacles[0]
    return start


@contextmanager
def started(
    config: Experiment, shape: planning.Shape, folder: Path, observer: Observer, start: Start | None
) -> Iterator[Subject]:
    """Start the engine that was named, the embedded one, or the command given, and stop it in the end.

    `folder`: where its log is to lie.
    """
    secrets = [secret.decode(errors="surrogateescape") for secret in unwritten(config.headers())]
    if start is not None:
        with _started_engine(config, folder, observer, start, secrets) as subject:
            yield subject
        return
    client_cores: list[int] = []
    engine_cores: list[int] | None = None
    if config.is_embedded:
        model = _model(models.choose(config.model), observer.say)
        client_cores, engine_cores = divide_cores(config.workers or 1)
        command = _embedded_command(config, shape, model, n_threads=len(engine_cores or [0]))
    else:
        command = list(config.command)
    argv, url = place_port(command, config.url)
    observer.say(f"starting  {'the embedded engine' if config.is_embedded else argv[0]} at {url}")
    with (
        log_folder(config, folder) as log_parent,
        launch(
            argv,
            base_url=url,
            log_path=log_parent / ENGINE_LOG,
            ready_within_s=COMMAND_READY_WITHIN_S if config.ready_timeout_s is None else config.ready_timeout_s,
            cpus=engine_cores,
            secrets=secrets,
            on_wait=observer.on_start,
        ) as server,
    ):
        yield Subject(url, None if config.is_embedded else config.model, server, tuple(client_cores))


@contextmanager
def _started_engine(
    config: Experiment, folder: Path, observer: Observer, start: Start, secrets: list[str]
) -> Iterator[Subject]:
    plan = start.engine.launch
    divides = not start.image and plan is not None and plan.divides_cores
    client_cores, engine_cores = divide_cores(config.workers or 1) if divides else ([], None)
    observer.say(f"starting  {start.engine.title} {start.version or start.image}, model {start.model.name}")
    with (
        log_folder(config, folder) as log_parent,
        launched(
            start,
            log_parent / ENGINE_LOG,
            ready_within_s=config.ready_timeout_s,
            cpus=engine_cores,
            secrets=secrets,
            on_wait=observer.on_start,
        ) as server,
    ):
        observer.say(f"ready     after {server.ready_s:.2f} s at {start.url}")
        name = start.model.name if plan is not None and plan.tells_name else None
        yield Subject(start.url, name, server, tuple(client_cores), start)


def _model(chosen: models.EmbeddedModel, say: Callable[[str], None]) -> Path:
    embedded.require("xllamacpp")
    say(f"model     {chosen.served}, of the embedded engine (its file is written on first use)")
    return chosen.ensure()


def _embedded_command(config: Experiment, shape: planning.Shape, model: Path, *, n_threads: int) -> list[str]:
    return embedded_command(
        model,
        n_slots=config.concurrency or OPEN_LOOP_SLOTS,
        n_threads=n_threads,
        context_tokens=longest_request(shape),
        n_connections=_n_connections(config),
    )


def _n_connections(config: Experiment) -> int:
    """That will be open at once."""
    if config.burst:
        return config.requests or 1
    return config.concurrency or N_OPEN_CONNECTIONS


def longest_request(shape: planning.Shape) -> int:
    """Tokens of context that one request of these lengths may take."""
    return _longest(shape.inputs) + _longest(shape.outputs) + 64


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
        return [] if subject.server.is_container else subject.server.pids()
    if not subject.is_local:
        return []
    found = [family(pid) for pid in listeners(port_of(subject.url))]
    return list(dict.fromkeys(pid for pids in found for pid in pids))

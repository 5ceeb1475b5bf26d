# SPDX-License-Identifier: Apache-2.0
"""From an engine's name, a model and knobs to a command that can be run here: `prepare`; and its start: `launched`.

Rule 1: what a person got wrong is refused here, before a folder is made or anything started.
Rule 2: what this machine lacks is an obstacle: an error for who wants to start it, a note for who only wants to see.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inferometer import embedded
from inferometer.embedded import models as embedded_models
from inferometer.engines.compose import Order, check_knobs, compose, overridden
from inferometer.engines.engine import Engine
from inferometer.engines.knobs import Value, parse_settings, written
from inferometer.engines.launch import GGUF, HUGGING_FACE, OWN_NAME, Launch
from inferometer.engines.registry import engine_named
from inferometer.errors import EngineError, UsageError
from inferometer.host import container, hardware, installed
from inferometer.host.hardware import Hardware
from inferometer.host.launch import Server, free_port, launch
from inferometer.host.model_files import ModelFiles, find_model
from inferometer.host.suitability import choose_device, too_large, why_not
from inferometer.units import format_bytes

HOST = "127.0.0.1"
OPTIONS = "engine-options.json"
_OPTIONS_PATH = f"{{folder}}/{OPTIONS}"  # in the words of a command until it is known where they are written
_FEWEST_CONTEXT_TOKENS = 512
_CONTAINER_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is going to be asked of the engine, for what it is told where the person did not say: connections at once,
    requests served together, tokens of the longest request, cores left to it."""

    n_connections: int
    max_concurrency: int
    context: int
    n_cores: int


@dataclass(frozen=True, slots=True)
class Start:
    """A command ready to be run. `settings`: every knob that has a value; `version`: of the program, "" where it is not
    known before it runs; `image`: of its container, "" if it runs natively; `after`: see host.launch."""

    engine: Engine
    model: ModelFiles
    order: Order
    url: str
    settings: Mapping[str, Value]
    version: str = ""
    image: str = ""
    after: tuple[str, ...] = ()
    obstacles: tuple[EngineError, ...] = ()

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "settings": {name: written(value) for name, value in self.settings.items()},
            "settings_left_out": list(self.order.left_out),
            "env": dict(self.order.env),
            "options": dict(self.order.options),
            "image": self.image,
            "model_given": self.model.given,
            "model_format": self.model.format,
            "model_revision": self.model.revision,
            "model_bytes": self.model.n_bytes,
            "model_architecture": self.model.architecture,
        }


def launch_of(name: str) -> tuple[Engine, Launch]:
    """Raises: UsageError if there is no such engine, or it cannot be started from here."""
    engine = engine_named(name)
    if engine.launch is None:
        raise UsageError(
            f"{engine.title} cannot be started from here, only measured", "start it by hand and give its URL to `run`"
        )
    return engine, engine.launch


def prepare(
    name: str,
    model: str | None,
    settings: Sequence[str],
    extra: Sequence[str],
    load: Load,
    *,
    port: int | None = None,
    revision: str | None = None,
    is_dry: bool = False,
) -> Start:
    """Everything decided. `is_dry`: nothing is fetched or made.

    Raises: UsageError for what is asked wrongly; EngineError if the model cannot be had.
    """
    engine, plan = launch_of(name)
    values = parse_settings(settings)
    check_knobs(engine.title, plan, values, extra)
    files = model_files(engine, plan, model, revision=revision, is_dry=is_dry)
    values = _with_always(plan, values, load, files)
    machine = hardware.look()
    kinds = engine.facts.devices if engine.facts is not None else {}
    device = choose_device(kinds, machine)
    port = port or free_port(HOST)
    marks = {"name": files.name, "n_connections": load.n_connections, "host": HOST, "port": port}
    marks |= {"model": str(files.path or files.given), "options": _OPTIONS_PATH, "other_port": free_port(HOST)}
    marks["scratch"] = tempfile.gettempdir()
    found = installed.find(plan.programs)
    held = {key: value for key, value in values.items() if key not in overridden(plan, values, extra)}
    obstacles = _obstacles(engine.title, files, kinds, machine)
    ready = Start(engine, files, Order((), {}), f"http://{HOST}:{port}", held, obstacles=obstacles)
    if found is not None:
        help_text = installed.help_text_of(plan.programs, found)
        order = compose(
            plan,
            found.words,
            marks,
            values,
            extra=extra,
            version=found.version,
            help_text=help_text,
            environment=os.environ,
        )
        return replace(ready, order=order, version=found.name)
    return _in_container(ready, plan, device, marks, values, extra)


def _obstacles(title: str, files: ModelFiles, kinds: Collection[str], machine: Hardware) -> tuple[EngineError, ...]:
    """What this machine lacks, as far as that is certain."""
    if kinds and choose_device(kinds, machine) is None:
        return (
            EngineError(
                f"{title} cannot run on this machine: {why_not(kinds, machine)}",
                "measure one that runs elsewhere by its URL; `inferometer engines` says which can run here",
            ),
        )
    memory = too_large(files.n_bytes, kinds, machine)
    if memory is None:
        return ()
    return (
        EngineError(
            f"the weights of {files.name} take {format_bytes(files.n_bytes)}, and there are {format_bytes(memory)} of "
            "memory that they could lie in",
            "take a smaller model or one that is quantized",
        ),
    )


def launched(
    start: Start,
    log_path: Path,
    *,
    ready_within_s: float | None,
    cpus: Sequence[int] | None = None,
    secrets: Sequence[str] = (),
    on_wait: Callable[[float, str], None] | None = None,
) -> Server:
    """The running engine. `ready_within_s`: None, as long as this engine is known to take.

    Raises: EngineError for the first obstacle, or if it does not come up.
    """
    if start.obstacles:
        raise start.obstacles[0]
    plan = start.engine.launch
    if plan is None:
        raise AssertionError("an engine without launch was prepared")
    path = log_path.parent / OPTIONS
    if start.order.options:
        path.write_text(json.dumps(start.order.options, indent=2) + "\n", encoding="utf-8")
    return launch(
        [word.replace(_OPTIONS_PATH, str(path.absolute())) for word in start.order.words],
        base_url=start.url,
        log_path=log_path,
        ready_paths=plan.ready_paths,
        ready_within_s=plan.ready_within_s if ready_within_s is None else ready_within_s,
        env={**os.environ, **start.order.env},
        cpus=cpus,
        secrets=secrets,
        grace_s=_CONTAINER_GRACE_S if start.image else 10.0,
        failures=plan.failures,
        after=start.after,
        on_wait=on_wait,
    )


def model_files(
    engine: Engine, plan: Launch, given: str | None, *, revision: str | None = None, is_dry: bool = False
) -> ModelFiles:
    """What `--model` names for this engine: one of ours by its name, or what host.model_files finds.

    Raises: UsageError; EngineError if it cannot be had.
    """
    own = _own_models(plan.formats)
    if given is None:
        names = ", ".join(dict.fromkeys(chosen.name for _, chosen in own.values()))
        raise UsageError(
            f"{engine.title} must be told which model to serve",
            "--model a file, a folder, or owner/name on the Hugging Face hub"
            + (f" (for a first try {names})" if names else ""),
        )
    if Path(given).exists() or given not in own:
        is_theirs = Path(given).exists() or OWN_NAME in plan.formats
        if not is_theirs and given in _own_models((GGUF, HUGGING_FACE)):
            names = " or ".join(dict.fromkeys(chosen.name for _, chosen in own.values()))
            raise UsageError(
                f"there is no {given} in a format that {engine.title} takes",
                f"take --model {names}" if names else "give a model of your own",
            )
        return find_model(given, plan.formats, engine.title, revision=revision, is_dry=is_dry)
    model_format, chosen = own[given]
    if is_dry:
        return ModelFiles(given, chosen.served, model_format, chosen.cached(), context_tokens=chosen.context_tokens)
    if model_format == GGUF:
        embedded.require("gguf")
    files = find_model(str(chosen.ensure()), plan.formats, engine.title)
    return replace(files, given=given, name=chosen.served)


def _own_models(formats: Sequence[str]) -> dict[str, tuple[str, embedded_models.EmbeddedModel]]:
    """Models that come with the package, by the names that one may ask for: each in the engine's best format."""
    makers = {GGUF: embedded_models.models, HUGGING_FACE: embedded_models.folder_models}
    found: dict[str, tuple[str, embedded_models.EmbeddedModel]] = {}
    for model_format in formats:
        for chosen in makers[model_format]() if model_format in makers else ():
            for name in (chosen.name, chosen.served):
                found.setdefault(name, (model_format, chosen))
    return found


def _with_always(plan: Launch, values: Mapping[str, Value], load: Load, model: ModelFiles) -> dict[str, Value]:
    """The values given, and those that this engine must be given."""
    context = max(load.context, _FEWEST_CONTEXT_TOKENS)
    usual: dict[str, Value] = {
        "max_concurrency": load.max_concurrency,
        "context": min(context, model.context_tokens or context),
        "threads": load.n_cores,
    }
    return {name: usual[name] for name in plan.always} | dict(values)


def _in_container(
    start: Start,
    plan: Launch,
    device: str | None,
    marks: dict[str, Any],
    values: Mapping[str, Value],
    extra: Sequence[str],
) -> Start:
    """The same in a container, where there is an image for this machine."""
    engine = start.engine
    installs = "; ".join(plan.installs.values())
    image = plan.container.images.get(device or next(iter(plan.container.images))) if plan.container else None
    tool = installed.container_tool()
    if plan.container is None or image is None:
        obstacle = EngineError(f"{engine.title} is not installed", f"install it: {installs}")
    else:
        obstacle = EngineError(
            f"{engine.title} is not installed, and neither docker nor podman answers", f"install it: {installs}"
        )
    obstacles = start.obstacles if tool and image else (*start.obstacles, obstacle)
    if plan.container is None or image is None:
        program = plan.programs[0].words if plan.programs else ()
        order = compose(plan, program, marks | {"python": "python"}, values, extra=extra, environment=os.environ)
        return replace(start, order=order, obstacles=obstacles)
    mounts = []
    if start.model.path is not None:
        mount, inside = container.mount_of(start.model.path)
        mounts.append(mount)
        marks = marks | {"model": inside}
    port = marks["port"]
    marks = marks | {"host": "0.0.0.0", "port": plan.container.port, "options": container.OPTIONS_FILE}
    marks["scratch"] = container.SCRATCH_FOLDER
    inner = compose(plan, plan.container.words, marks, values, extra=extra, environment=os.environ)
    if inner.options:
        mounts.append(container.Mount(Path(_OPTIONS_PATH), container.OPTIONS_FILE))
    name = container.new_name(engine.name)
    words = container.run_words(
        tool or installed.CONTAINER_TOOLS[0],
        image,
        name,
        port=port,
        inner_port=plan.container.port,
        mounts=mounts,
        env=inner.env,
        options=plan.container.options.get(device or "", ()),
    )
    order = Order((*words, *inner.words), {}, inner.options, inner.left_out)
    after = tuple(container.remove_words(tool, name)) if tool else ()
    return replace(start, order=order, image=image, after=after, obstacles=obstacles)

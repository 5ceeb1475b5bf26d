# SPDX-License-Identifier: Apache-2.0
"""The candidates of a choice: gathered from the command line, filtered by fact, and why each one left out is out.

TARGET                    as `ab` has them: a URL, ENGINE,KNOB=VALUE,..., embedded, FILE.toml
--engines a,b             engines by name; without any candidate: all that can be started from here
--configs FILE            tables; one that names no engine, URL, command or run is a configuration of every engine
--run DIR                 what was measured elsewhere
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inferometer import config as configuration
from inferometer import experiment
from inferometer.analysis.candidate import Entry
from inferometer.analysis.choice import Fact, Kind, LeftOut
from inferometer.analysis.side import Member
from inferometer.cli import comparing, targets
from inferometer.config import Experiment
from inferometer.engines.engine import Engine
from inferometer.engines.facts import DEVICES
from inferometer.engines.launch import HUGGING_FACE, OWN_NAME
from inferometer.engines.registry import engine_named, engines
from inferometer.errors import EngineError, UsageError
from inferometer.host import hardware
from inferometer.host.suitability import choose_device, why_not
from inferometer.probes.choose import Contender
from inferometer.secrecy import redact_argv, redact_url

_WHO = ("url", "command", "engine", "run")  # of a table, any of which makes it a candidate of its own
_OF_CONFIG = ("url", "command", "engine", "set", "revision", "model", "api", "header", "api_key_env", "insecure")
_OWN = ("run", "devices", "price", "ease")
NOT_ANEW = "it ran already and was not started anew: what differs from start to start is in no figure of it"
NOT_IN_TURNS = "it was not measured in turns with the others: machine and day are part of its ratio"
_FREE = ("MIT", "Apache-2.0", "BSD-3-Clause")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line names. `given`: flags of every experiment, by their names; `price`: of a device."""

    targets: Sequence[str]
    engines: Sequence[str]
    configs: Mapping[str, Mapping[str, Any]]
    runs: Sequence[str]
    runs_in: str
    given: Mapping[str, Any]
    price: float | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """In the order in which they were named."""

    contenders: tuple[Contender, ...]
    left_out: tuple[LeftOut, ...]


def gather(wanted: Wanted) -> Gathered:
    """Everything that can be tried, and everything that cannot, with the reason.

    Raises: UsageError for what is written wrongly, or named twice.
    """
    found: list[Contender] = []
    out: list[LeftOut] = []
    for contender in [*_named(wanted, out), *_elsewhere(wanted)]:
        left = _why_out(contender.config, contender.entry) if contender.config is not None else None
        if left is not None:
            out.append(left)
        else:
            found.append(contender)
    names = [contender.entry.name for contender in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is there twice", "give every candidate once")
    prices = [contender.entry.price_per_h is None for contender in found]
    if any(prices) and not all(prices):
        raise UsageError("some candidates have a price, others none", "give --price, or a price in every table")
    return Gathered(tuple(found), tuple(out))


def read_configs(name: str | None) -> dict[str, dict[str, Any]]:
    """The tables of a file of candidates. Raises: UsageError."""
    if name is None:
        return {}
    try:
        with Path(name).open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UsageError(
            f"cannot read {name}: {error.strerror}", "give the path of a TOML file to --configs"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} is not valid TOML: {error}", "see docs/guides/choose.md for an example") from error
    found = {}
    for title, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{name}: {title!r} is no table", f"write [{title}] and what it holds below it")
        found[title] = {key.replace("-", "_"): value for key, value in table.items()}
        unknown = next((key for key in found[title] if key not in (*_OF_CONFIG, *_OWN)), None)
        if unknown is not None:
            keys = ", ".join((*_OF_CONFIG, *_OWN)).replace("_", "-")
            raise UsageError(f"{name}: [{title}] has an unknown key {unknown!r}", f"keys are {keys}")
        if "run" in table and any(key in table for key in _OF_CONFIG):
            raise UsageError(f"{name}: [{title}] was measured elsewhere and is to be measured here", "drop one of them")
    return found


# --- who is meant --------------------------------------------------------------------------------------------------


def _named(wanted: Wanted, out: list[LeftOut]) -> list[Contender]:
    """All that would be measured here."""
    found = [_of_target(target, wanted) for target in wanted.targets]
    own = {title: table for title, table in wanted.configs.items() if any(key in table for key in _WHO)}
    shared = {title: table for title, table in wanted.configs.items() if title not in own}
    names = list(wanted.engines)
    if not names and not found and not wanted.runs and (shared or not own):
        names = [engine.name for engine in engines() if engine.launch is not None]
        out += [
            LeftOut(engine.name, "it is only measured, not started from here", "start it by hand and give its URL")
            for engine in engines()
            if engine.launch is None and engine.facts is not None
        ]
    if names and wanted.given.get("model") is None and not all("model" in table for table in shared.values() or [{}]):
        raise UsageError(
            "choose must be told which model the engines are to serve", "--model M; for a first try --model trained"
        )
    for name in names:
        for title, table in shared.items() or [("", {})]:
            found.append(_of_table(f"{name} {title}".strip(), {**table, "engine": name}, wanted))
    for title, table in own.items():
        if "run" not in table:
            found.append(_of_table(title, table, wanted))
    return found


def _of_target(target: str, wanted: Wanted) -> Contender:
    config = targets.experiment_of(target, wanted.given)
    return Contender(_entry(redact_url(target), redact_url(target), config, {}, wanted), config)


def _of_table(title: str, table: Mapping[str, Any], wanted: Wanted) -> Contender:
    given = dict(wanted.given) | {key: _as_flag(key, value) for key, value in table.items() if key in _OF_CONFIG}
    if "command" in table and "engine" not in table:  # what it serves is in its command
        given |= {"model": table.get("model")}
    if "engine" in table:
        given |= {"engine": engine_named(str(table["engine"])).name}
    try:
        config = configuration.resolve(given)
    except UsageError as error:
        raise UsageError(f"[{title}] {error}", error.remedy) from error
    return Contender(_entry(title, _target_text(config), config, table, wanted), config)


def _as_flag(key: str, value: Any) -> Any:
    """A command may stand as one text, a single setting or header without its list."""
    if key == "command" and isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise UsageError(f"command {value!r} cannot be split: {error}", "write it as a list of texts") from error
    if key in ("set", "header") and isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _elsewhere(wanted: Wanted) -> list[Contender]:
    tables = {title: table for title, table in wanted.configs.items() if "run" in table}
    words: list[tuple[str, str, Mapping[str, Any]]] = [(word, word, {}) for word in wanted.runs]
    words += [(title, str(table["run"]), dict(table)) for title, table in tables.items()]
    found = []
    for title, word, table in words:
        members = comparing.side_of(word, wanted.runs_in).members
        engine = members[0].summary.engine
        points = _points(table, str(engine.get("name") or ""))
        entry = Entry(title, "elsewhere", word, devices_of(engine), points=points, notes=(NOT_IN_TURNS,))
        found.append(Contender(_priced(entry, table, wanted), None, members))
    return found


def _entry(name: str, target: str, config: Experiment, table: Mapping[str, Any], wanted: Wanted) -> Entry:
    kind: Kind = "running" if config.url is not None and not config.command else "started"
    engine = "llama.cpp" if config.is_embedded else config.engine
    facts = facts_of(engine)[0] if engine else ()
    notes = (NOT_ANEW,) if kind == "running" else ()
    entry = Entry(name, kind, target, facts=facts, points=_points(table, engine or ""), notes=notes)
    settings = dict(setting.split("=", 1) for setting in config.settings)
    if "tensor_parallel" in settings and "devices" not in table:
        entry = replace(entry, n_devices=int(settings["tensor_parallel"]))
    return _priced(entry, table, wanted)


def devices_of(engine: Mapping[str, Any]) -> int:
    """How many devices the engine of a run had, as far as its settings say."""
    told = str((engine.get("settings") or {}).get("tensor_parallel") or "")
    return int(told) if told.isdecimal() and int(told) else 1


def _priced(entry: Entry, table: Mapping[str, Any], wanted: Wanted) -> Entry:
    n_devices = table.get("devices", entry.n_devices)
    if not isinstance(n_devices, int) or isinstance(n_devices, bool) or n_devices < 1:
        raise UsageError(f"[{entry.name}] devices is {n_devices!r}", "give a whole number of at least 1")
    price = parse_price(str(table["price"])) if "price" in table else wanted.price
    return replace(entry, n_devices=n_devices, price_per_h=price)


def _target_text(config: Experiment) -> str:
    if config.engine is not None:
        return ",".join([config.engine, *config.settings, *([f"model={config.model}"] if config.model else [])])
    return redact_url(config.url) if config.url else shlex.join(redact_argv(list(config.command))) or "embedded"


def parse_price(text: str) -> float:
    """Of a device-hour: `2.5/h`. Raises: UsageError."""
    match = re.fullmatch(r"\s*[$]?(\d+(?:\.\d+)?)\s*(?:/\s*h)?\s*", text, re.ASCII)
    if match is None or not float(match[1]) > 0:
        raise UsageError(f"{text!r} is not a price", "write what a device costs in an hour: 2.5/h")
    return float(match[1])


# --- what is known -------------------------------------------------------------------------------------------------


def _why_out(config: Experiment, entry: Entry) -> LeftOut | None:
    """What stands against measuring it here, found before anything is started."""
    if config.engine is not None:
        engine = engine_named(config.engine)
        kinds = engine.facts.devices if engine.facts is not None else {}
        machine = hardware.look()
        if kinds and choose_device(kinds, machine) is None:
            remedy = "measure it where it runs and give the run: --run DIR"
            return LeftOut(entry.name, why_not(kinds, machine), remedy)
        if config.api is not None and config.api not in engine.speaks:
            return LeftOut(entry.name, f"it does not speak {config.api}", f"it speaks {', '.join(engine.speaks)}")
    try:
        start = experiment.check(config, is_dry=True)
    except (UsageError, EngineError) as error:
        return LeftOut(entry.name, str(error), error.remedy)
    if start is not None and start.obstacles:
        return LeftOut(entry.name, str(start.obstacles[0]), start.obstacles[0].remedy)
    return None


def facts_of(name: str) -> tuple[tuple[Fact, ...], dict[str, float]]:
    """What no stopwatch sees of an engine, and the points on which its ease rests; nothing of one that is not known."""
    try:
        engine = engine_named(name)
    except UsageError:  # a server that answers as nobody we know
        return (), {}
    facts = engine.facts
    if facts is None:
        return (), {}
    told = [
        Fact("hugging face", facts.hugging_face.text, facts.hugging_face.known),
        *(Fact(f"on {DEVICES[kind]}", fact.text, fact.known) for kind, fact in facts.devices.items()),
        Fact("models", facts.formats.text, facts.formats.known),
        Fact("quantized", facts.quantizations.text, facts.quantizations.known),
        Fact("licence", facts.licence.text, facts.licence.known),
        Fact("upkeep", facts.upkeep.text, facts.upkeep.known),
        Fact("proven", facts.proven, facts.proven_on),
    ]
    return tuple(told), _ease_of(engine)


def _ease_of(engine: Engine) -> dict[str, float]:
    """Shares from 0 to 1, whose mean is the ease: rough, and the same rule for all."""
    facts = engine.facts
    if facts is None:
        return {}
    formats = engine.launch.formats if engine.launch is not None else ()
    return {
        "takes Hugging Face models as they are": 1.0 if HUGGING_FACE in formats or OWN_NAME in formats else 0.5,
        "kinds of devices": len(facts.devices) / len(DEVICES),
        "free licence": 1.0 if facts.licence.text in _FREE else 0.5,
        "kept up": 0.5 if facts.is_only_maintained else 1.0,
    }


def _points(table: Mapping[str, Any], engine: str) -> dict[str, float]:
    if "ease" not in table:
        return facts_of(engine)[1] if engine else {}
    ease = table["ease"]
    if isinstance(ease, bool) or not isinstance(ease, int | float) or not 0 < ease <= 1:
        raise UsageError(f"ease is {ease!r}", "give a number above 0, up to 1")
    return {"as given": float(ease)}


def ease_of(points: Mapping[str, float]) -> float | None:
    return sum(points.values()) / len(points) if points else None


def usable(member: Member) -> bool:
    """Finished, and not invalid."""
    return member.facts.get("state") == "finished" and member.summary.verdict.level != "invalid"

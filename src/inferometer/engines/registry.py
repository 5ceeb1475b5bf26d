# SPDX-License-Identifier: Apache-2.0
"""All engines there are: our own, and those of installed packages, by the entry point group `inferometer.engines`.

Rule 1: a package's engines are asked first whether a server is theirs: they are the special case. Ours still know what
    nobody else does, and the last of all takes any server.
Rule 2: what does not fit is refused with the name of its package, never left out without a word.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from inferometer.engines import ENGINES
from inferometer.engines.engine import Dialect, Engine
from inferometer.engines.knobs import KNOBS
from inferometer.errors import UsageError
from inferometer.kinds import APIS, NATIVE_APIS

GROUP = "inferometer.engines"


@cache
def engines() -> tuple[Engine, ...]:
    """In the order in which they are asked whether a server is theirs.

    Raises: UsageError if a package's engine cannot be used.
    """
    return combined(entry_points(group=GROUP))


@cache
def dialects() -> Mapping[str, Dialect]:
    """Of all engines, by the name that a run's manifest keeps."""
    return {speech.dialect.name: speech.dialect for engine in engines() for speech in engine.speaks.values()}


def engine_named(name: str) -> Engine:
    """By its name, however that is written: `llamacpp` is `llama.cpp`.

    Raises: UsageError with the nearest name if there is none.
    """
    known = {_plain(engine.name): engine for engine in engines()}
    if (found := known.get(_plain(name))) is not None:
        return found
    close = difflib.get_close_matches(_plain(name), known, n=1)
    names = ", ".join(engine.name for engine in engines() if engine.launch is not None)
    remedy = f"did you mean {known[close[0]].name}?" if close else f"engines that can be started are {names}"
    raise UsageError(f"there is no engine {name!r}", remedy)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def combined(found: Iterable[EntryPoint]) -> tuple[Engine, ...]:
    """Those that the entry points name, then ours. Raises: UsageError."""
    names = {engine.name for engine in ENGINES}
    known = {speech.dialect.name: speech.dialect for engine in ENGINES for speech in engine.speaks.values()}
    others: list[Engine] = []
    for entry in found:
        engine = _loaded(entry)
        fault = _fault(engine, names, known)
        if fault:
            raise UsageError(f"the engine of {_package(entry)} cannot be used: {fault}", _remedy(entry))
        others.append(engine)
        names.add(engine.name)
        known |= {speech.dialect.name: speech.dialect for speech in engine.speaks.values()}
    return (*others, *ENGINES)


def _loaded(entry: EntryPoint) -> Engine:
    try:
        engine = entry.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UsageError(f"the engine of {_package(entry)} cannot be loaded ({reason})", _remedy(entry)) from error
    if not isinstance(engine, Engine):
        raise UsageError(f"{entry.value} of {_package(entry)} is no Engine", _remedy(entry))
    return engine


def _fault(engine: Engine, names: set[str], known: Mapping[str, Dialect]) -> str:
    """What is wrong with it, "" if nothing is."""
    if engine.name in names:
        return f"there is an engine named {engine.name!r} already"
    if not engine.speaks or not set(engine.speaks) <= {*APIS, *NATIVE_APIS}:
        return f"it must speak one or more of {', '.join((*APIS, *NATIVE_APIS))}"
    if engine.launch is not None and not {*engine.launch.knobs, *engine.launch.always} <= set(KNOBS):
        return f"its knobs must be among {', '.join(KNOBS)}"
    for speech in engine.speaks.values():
        if known.get(speech.dialect.name, speech.dialect) is not speech.dialect:
            return f"there is another dialect named {speech.dialect.name!r} already"
    return ""


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist is not None else f"the entry point {entry.name}"


def _remedy(entry: EntryPoint) -> str:
    return f"update or uninstall {entry.dist.name if entry.dist is not None else entry.value}"

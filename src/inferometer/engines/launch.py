# SPDX-License-Identifier: Apache-2.0
"""What it takes to start an engine: programs, flags, settings that avoid traps, readiness, what its failures mean.

Rule 1: data. What is on this machine is looked up by host/, what is run is put together by compose.py.
Rule 2: words of a command may hold marks, `{model}`: see MARKS. Names that differ between versions are data too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

GGUF, HUGGING_FACE, OWN_NAME = "gguf", "huggingface", "own name"  # formats of models, see Launch.formats

# What compose.py puts in the place of `{mark}`. Beside these: every knob that has a value, by its name, and what
# Launch.derive makes of them.
MARKS = {
    "python": "the Python that has the program's package",
    "model": "path of the model's file or folder, as the engine sees it",
    "name": "what the model is called over HTTP",
    "host": "address to listen at",
    "port": "port to listen at",
    "other_port": "another free port, for what the engine opens beside",
    "options": "path of the engine's file of options",
    "scratch": "a folder that the engine may write to, for one that wants to be told of one",
    "n_connections": "connections that the load opens at once",
    "value": "in the words of a knob: its value",
}


@dataclass(frozen=True, slots=True)
class Program:
    """One way in which an engine may be installed. `words`: how its command begins.

    packages: Python distributions, any of which brings it and tells its version. is_ours: it can only run in the
    environment that inferometer is installed in.
    version_words: a quick command that prints the version; help_words: one that lists all flags, so that a default that
    this version does not know is left out. Both may be empty.
    """

    words: tuple[str, ...]
    packages: tuple[str, ...] = ()
    version_words: tuple[str, ...] = ()
    version_pattern: str = r"(\d\S*)"  # the first group of the first match in what it prints
    help_words: tuple[str, ...] = ()
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Knob:
    """How an engine writes one canonical knob (knobs.py). At least one of words, env and option.

    words: added to its command; off_words: the same for a switch that is off. env: variables to set.
    option: a dotted key of the engine's file of options. values: the engine's own names of values, where they differ;
    whatever else is given is passed on as it is. usual: its value where nothing is said, as for --set; "": not known,
    or it depends. note: where it means something else than the knob's own line says.
    """

    words: tuple[str, ...] = ()
    off_words: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    option: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    usual: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Default:
    """A setting that is made unless the person makes it: words that begin with its flag, variables, or an option.

    why: the trap. since: the first version that is known to take it, for engines whose flags cannot be asked for.
    """

    why: str
    words: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    since: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an engine says when it cannot start (a pattern, without regard to case), and what to do about it."""

    pattern: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Container:
    """Its image by kind of device (facts.py), and how the command inside begins; `port`: where it listens in there.

    options: words for `docker run` by kind of device. The model is mounted read-only and is what `{model}` names.
    """

    images: Mapping[str, str]
    words: tuple[str, ...]
    port: int
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Launch:
    """programs: tried in this order. arguments: follow the program's words. always: knobs that get a value also where
    none is given, because the engine's own default is a trap. absent: canonical knobs that it has not, and why.
    derive: marks made of all values, for flags that mean a sum or a product. options_words: how the file of options is
    named on the command line. formats: of models, best first. divides_cores: it may compute on the CPU, with a
    thread for every core that it is left, so one core is kept for the client. tells_memory: words that make its log
    say what it takes, where it does not anyway.
    installs: lines for people, by way (pip, docker, apt, ...).
    """

    programs: tuple[Program, ...]
    arguments: tuple[str, ...]
    formats: tuple[str, ...]
    knobs: Mapping[str, Knob]
    installs: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)
    always: tuple[str, ...] = ()
    defaults: tuple[Default, ...] = ()
    derive: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _nothing
    options_words: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ready_paths: tuple[str, ...] = ("/health", "/v1/models")
    ready_within_s: float = 600.0
    failures: tuple[Failure, ...] = ()
    container: Container | None = None
    divides_cores: bool = False
    tells_memory: tuple[str, ...] = ()

    @property
    def tells_name(self) -> bool:
        """Whether the engine serves the model under the name that we chose, or that it was asked for by."""
        return self.formats == (OWN_NAME,) or any("{name}" in word for word in self.arguments)

# SPDX-License-Identifier: Apache-2.0
"""Which of an engine's programs is installed on this machine, and its version, found without starting the engine.

Rule: nothing is imported to learn a version: a package's metadata stands beside the program, and takes no time.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from inferometer.engines.launch import Program

_PRINTS_WITHIN_S = 10.0  # --version and --help of programs that are asked for them
CONTAINER_TOOLS = ("docker", "podman")


@dataclass(frozen=True, slots=True)
class Installed:
    """A program that is here. `words`: how its command begins; `package`: the distribution that told the version."""

    words: tuple[str, ...]
    version: str
    package: str = ""
    help_text: str = ""

    @property
    def name(self) -> str:
        """For people: the version, with its package where that is not the engine's own name."""
        return f"{self.package} {self.version}".strip() if self.package else self.version


def find(programs: Iterable[Program]) -> Installed | None:
    """The first of these that is here."""
    return next((found for program in programs if (found := _find(program)) is not None), None)


def help_text_of(programs: Iterable[Program], installed: Installed) -> str:
    """What the program lists of its flags; "" where it is not to be asked."""
    for program in programs:
        if program.help_words and program.words == installed.words:
            return _printed(program.help_words)
    return ""


def container_tool() -> str | None:
    """docker or podman, if there is one whose service answers."""
    for tool in CONTAINER_TOOLS:
        if shutil.which(tool) is not None and _succeeds((tool, "info")):
            return tool
    return None


def _find(program: Program) -> Installed | None:
    if program.words[0] == "{python}":
        return _find_module(program)
    path = shutil.which(program.words[0])
    if path is None:
        return None
    for package, version in _versions(_site_folders(Path(path)), program.packages):
        return Installed(program.words, version, package)
    match = re.search(program.version_pattern, _printed(program.version_words)) if program.version_words else None
    return Installed(program.words, match[1] if match else "")


def _find_module(program: Program) -> Installed | None:
    """A module of a Python package: in our own environment, or in that of a Python on PATH."""
    for python in [sys.executable] if program.is_ours else _pythons():
        folders = None if python == sys.executable else _site_folders(Path(python))
        for package, version in _versions(folders, program.packages):
            return Installed((python, *program.words[1:]), version, package)
    return None


def _pythons() -> list[str]:
    found = [sys.executable, *(shutil.which(name) for name in ("python3", "python"))]
    return list(dict.fromkeys(path for path in found if path is not None))


def _site_folders(program: Path) -> list[str]:
    """Where the environment keeps its packages whose `bin` this program lies in."""
    prefixes = dict.fromkeys((program.parent.parent, program.resolve().parent.parent))
    return [str(folder) for prefix in prefixes for folder in prefix.glob("lib*/python3*/site-packages")]


def _versions(folders: list[str] | None, packages: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(package, version) of those that lie there; None: in our own environment."""
    for package in packages:
        if folders is None:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                yield package, importlib.metadata.version(package)
        else:
            for found in importlib.metadata.distributions(name=package, path=folders):
                yield package, found.version
                break


@cache
def _printed(words: tuple[str, ...]) -> str:
    """What a quick command prints; "" if it does not come to that."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PRINTS_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


@cache
def _succeeds(words: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PRINTS_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0

# SPDX-License-Identifier: Apache-2.0
"""An engine in a container: the words of `docker run` (or podman), and those that take the container away again.

Rule 1: its port is published on loopback only, and the model is mounted read-only.
Rule 2: it has a name that we chose, so that it can be ended whatever becomes of the tool that started it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MODEL_FOLDER = "/models"
OPTIONS_FILE = "/engine-options.json"
SCRATCH_FOLDER = "/tmp"
_DOCKER_GPUS, _PODMAN_GPUS = ["--gpus", "all"], ["--device", "nvidia.com/gpu=all"]


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of ours, and its path inside."""

    outside: Path
    inside: str


def mount_of(model: Path) -> tuple[Mount, str]:
    """What to mount for a model, and the model's path inside. A snapshot of the hub's cache is made of links to files
    beside it, so the whole repository is mounted; of a file its folder, for a large one has several parts."""
    for folder in (model, *model.parents):
        if folder.parent.name == "snapshots" and (folder.parents[1] / "blobs").is_dir():
            return _below(folder.parents[1], model)
    return _below(model if model.is_dir() else model.parent, model)


def _below(outside: Path, model: Path) -> tuple[Mount, str]:
    inside = f"{MODEL_FOLDER}/{outside.name}"
    return Mount(outside, inside), str(Path(inside, model.relative_to(outside)))


def new_name(engine: str) -> str:
    """A name that no other container has."""
    return f"inferometer-{engine}-{secrets.token_hex(4)}"


def run_words(
    tool: str,
    image: str,
    name: str,
    *,
    port: int,
    inner_port: int,
    mounts: Sequence[Mount],
    env: Mapping[str, str],
    options: Sequence[str],
) -> list[str]:
    """Up to and including the image; what the engine is told follows."""
    words = [tool, "run", "--rm", "--name", name, "--publish", f"127.0.0.1:{port}:{inner_port}"]
    for mount in mounts:
        words += ["--volume", f"{mount.outside}:{mount.inside}:ro"]
    for key, value in env.items():
        words += ["--env", f"{key}={value}"]
    return [*words, *(_for_podman(options) if tool == "podman" else options), image]


def _for_podman(options: Sequence[str]) -> list[str]:
    """GPUs go by another name there."""
    words = list(options)
    for i in range(len(words) - 1):
        if words[i : i + 2] == _DOCKER_GPUS:
            words[i : i + 2] = _PODMAN_GPUS
    return words


def remove_words(tool: str, name: str) -> list[str]:
    """Ends it if it runs, and says nothing of interest if it does not."""
    return [tool, "rm", "--force", name]

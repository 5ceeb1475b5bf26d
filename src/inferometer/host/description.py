# SPDX-License-Identifier: Apache-2.0
"""A model described from its own files, without loading a weight: GGUF, config.json, safetensors headers; or by name.

Where a name is looked up: on disk, in the table of models that comes with the package, on the Hugging Face hub (only
its config and index of weights are fetched).
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from inferometer.errors import UsageError
from inferometer.host import hub
from inferometer.host.gguf import NotGguf, read_tensors
from inferometer.host.model_files import gguf_parts
from inferometer.host.safetensors import read_headers
from inferometer.model.architecture import Architecture
from inferometer.model.config import read_config
from inferometer.model.devices import Device, read_table
from inferometer.model.formats import BLOCK_TYPES
from inferometer.model.metadata import read_metadata
from inferometer.model.stored import Stored, Tensor, sum_up

CONFIG = "config.json"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_DATA = resources.files("inferometer.model") / "data"


@dataclass(frozen=True, slots=True)
class Description:
    """`stored`: the weights as they lie on disk, None where only the config is there. `source`: what was read; `note`:
    what the package's table adds; `path`: of a GGUF file."""

    name: str
    source: str
    architecture: Architecture
    stored: Stored | None = None
    note: str = ""
    path: Path | None = None


def devices() -> tuple[Device, ...]:
    """The package's table."""
    return read_table((_DATA / "devices.csv").read_text(encoding="utf-8"))


def describe(given: str) -> Description:
    """By path (GGUF file, config.json, folder) or by name.

    Raises: UsageError if there is none, or it does not say what is needed; EngineError if the hub cannot be reached.
    """
    path = Path(given).expanduser()
    try:
        if path.is_dir():
            return _folder(path)
        if path.exists():
            return _config(path) if path.suffix == ".json" else _gguf(path)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or path}: {error.strerror}", "check who may read it") from error
    if given.startswith((".", "/", "~")) or given.endswith((".gguf", ".json", ".safetensors")):
        raise UsageError(f"there is no file or folder {given}", "give a GGUF file, a config.json, or a model's folder")
    if (known := _of_table(given)) is not None:
        return known
    if _HUB_NAME.fullmatch(given):
        found = hub.fetch_config(given)
        return replace(_folder(found.path), name=given, source=f"the Hugging Face hub, commit {found.revision[:12]}")
    names = {entry["name"].lower(): entry["name"] for entry in _table()}
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.5)
    meant = names[near[0]] if near else ""
    raise UsageError(
        f"there is no file, folder or known model {given!r}",
        (f"did you mean {meant}? " if meant else "")
        + "give a GGUF file, a config.json, owner/name on the hub, or a name out of `explain memory --list`",
    )


def known_models() -> list[tuple[str, str]]:
    """Name and name on the hub of the models in the package's table."""
    return [(entry["name"], entry["hub"]) for entry in _table()]


def _table() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((_DATA / "models.json").read_text(encoding="utf-8"))
    return entries


def _of_table(given: str) -> Description | None:
    wanted = given.lower()
    for entry in _table():
        if wanted in (entry["name"].lower(), entry["hub"].lower()):
            architecture = read_config(entry["config"], entry["name"])
            return Description(
                entry["name"], "this package's table of models", architecture, note=entry.get("note", "")
            )
    return None


def _config(path: Path, name: str = "") -> Description:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not JSON: {error}", "is the file whole?") from error
    if not isinstance(config, Mapping):
        raise UsageError(f"{path} holds no object", "it should be the config.json of a model")
    return Description(name or path.absolute().parent.name, str(path), read_config(config, str(path)))


def _folder(folder: Path) -> Description:
    if not (folder / CONFIG).exists():
        found = [path for path in sorted(folder.glob("*.gguf")) if not re.search(r"-(?!00001)\d{5}-of-", path.name)]
        if len(found) == 1:
            return _gguf(found[0])
        several = f": it holds {len(found)} GGUF files" if found else ": it has neither a config.json nor a GGUF file"
        raise UsageError(
            f"{folder} is no model{several}",
            f"name one of them: {', '.join(path.name for path in found)}" if found else "give a model's folder",
        )
    described = _config(folder / CONFIG, folder.absolute().name)
    tensors = read_headers(folder)
    if not tensors:
        total = _indexed_bytes(folder)
        return described if total is None else replace(described, stored=Stored(total, {}, None))
    return replace(described, stored=sum_up(tensors, described.architecture.experts))


def _indexed_bytes(folder: Path) -> int | None:
    """What the index of the weights says that they weigh, where only the index is there."""
    for index in folder.glob("*.safetensors.index.json"):
        try:
            return int(json.loads(index.read_text(encoding="utf-8"))["metadata"]["total_size"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{index} is no index of weights: {error!r}", "is it whole?") from error
    return None


def _gguf(path: Path) -> Description:
    parts = gguf_parts(path)
    try:
        header, infos = read_tensors(path)
        for part in parts[1:] if parts[:1] == [path] else parts:
            infos += read_tensors(part)[1]
    except NotGguf as error:
        raise UsageError(f"{path} is not a GGUF file: {error}", "give a whole GGUF file, or a config.json") from error
    tensors = []
    for info in infos:
        if info.type not in BLOCK_TYPES:
            raise UsageError(
                f"{path}: the tensor type {info.type} of {info.name} is not known here", "is it newer than this tool?"
            )
        block = BLOCK_TYPES[info.type]
        tensors.append(Tensor(info.name, info.shape, block.name, block.size(math.prod(info.shape))))
    architecture = read_metadata({**header.values, **header.lists}, tensors, str(path))
    stored = sum_up(tensors, architecture.experts)
    return Description(path.stem, str(path), replace(architecture, parameters=stored.parameters), stored, path=path)

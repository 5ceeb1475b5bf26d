# SPDX-License-Identifier: Apache-2.0
"""The model that an engine is to serve: a GGUF file, a folder, or a name on the Hugging Face hub; checked beforehand.

Rule 1: what does not suit the engine is refused before anything is started, with what would.
Rule 2: a model of the hub is one commit of it: looked up once, recorded, and taken from the cache where it lies there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferometer.engines.launch import GGUF, HUGGING_FACE, OWN_NAME
from inferometer.errors import UsageError
from inferometer.host import hub
from inferometer.host.gguf import NotGguf, read_header

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
_FORMAT_WORDS = {
    GGUF: "a GGUF file",
    HUGGING_FACE: "a folder in the Hugging Face layout (config.json and weights)",
    OWN_NAME: "a model by the name that the engine itself has for it",
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """`path`: file or folder, None for a model that only the engine knows; `name`: what it is called over HTTP.

    `revision`: the commit on the hub, "" for a model that is not from there. `context_tokens`: that it was made for.
    """

    given: str
    name: str
    format: str
    path: Path | None = None
    revision: str = ""
    n_bytes: int = 0
    architecture: str = ""
    context_tokens: int | None = None


def find_model(
    given: str, formats: Sequence[str], title: str, *, revision: str | None = None, is_dry: bool = False
) -> ModelFiles:
    """What `--model` names, looked for on disk first, then on the hub. `title`: of the engine, for messages. `is_dry`:
    the hub is not asked.

    Raises: UsageError if it is not there or the engine cannot read it; EngineError if the hub cannot be reached.
    """
    path = Path(given).expanduser()
    if path.exists():
        return _checked(_on_disk(given, path), formats, title)
    if formats == (OWN_NAME,):
        return ModelFiles(given, given, OWN_NAME)
    is_path = given.startswith((".", "/", "~")) or given.endswith((".gguf", ".safetensors"))
    if is_path or not _HUB_NAME.fullmatch(given):
        raise UsageError(
            f"there is no file or folder {given}",
            f"{title} takes {_wanted(formats)}, by its path or as owner/name on the Hugging Face hub",
        )
    if is_dry:
        return ModelFiles(given, given.partition("/")[2].replace(":", "-"), formats[0], revision=revision or "")
    found = hub.fetch(given, wants_gguf=formats[0] == GGUF, revision=revision)
    model = _on_disk(given, found.path)
    repository, _, tag = given.partition(":")
    name = f"{repository.rpartition('/')[2]}{'-' + tag if tag else ''}"
    return _checked(
        ModelFiles(
            given,
            name,
            model.format,
            found.path,
            found.revision,
            model.n_bytes,
            model.architecture,
            model.context_tokens,
        ),
        formats,
        title,
    )


def _checked(model: ModelFiles, formats: Sequence[str], title: str) -> ModelFiles:
    if model.format in formats:
        return model
    remedies = {
        (HUGGING_FACE, GGUF): "convert it with llama.cpp's convert_hf_to_gguf.py, or take a GGUF of it from the hub",
        (GGUF, HUGGING_FACE): "give the folder of the original model, or its name on the hub",
        (
            GGUF,
            OWN_NAME,
        ): f"write `FROM {model.path}` into a Modelfile, `ollama create NAME -f Modelfile`, --model NAME",
    }
    raise UsageError(
        f"{title} cannot serve {model.given}: it is {_FORMAT_WORDS[model.format]}, and {_wanted(formats)} is needed",
        remedies.get((model.format, formats[0]), f"give {_wanted(formats)}"),
    )


def _wanted(formats: Sequence[str]) -> str:
    return " or ".join(_FORMAT_WORDS[format] for format in formats)


def _on_disk(given: str, path: Path) -> ModelFiles:
    """Raises: UsageError if that is no model, or a damaged one."""
    try:
        return _read_folder(given, path) if path.is_dir() else _read_file(given, path)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or path}: {error.strerror}", "check who may read it") from error


def _read_file(given: str, path: Path) -> ModelFiles:
    try:
        header = read_header(path)
    except NotGguf as error:
        raise UsageError(
            f"{given} is not a GGUF file: {error}", "give a whole GGUF file, or the folder of a Hugging Face model"
        ) from error
    return ModelFiles(
        given,
        path.stem,
        GGUF,
        path.absolute(),
        n_bytes=sum(part.stat().st_size for part in gguf_parts(path)),
        architecture=header.architecture,
        context_tokens=header.context_tokens,
    )


def gguf_parts(path: Path) -> list[Path]:
    """A large GGUF comes as name-00001-of-00003.gguf and so on; the engine is given the first."""
    match = re.fullmatch(r"(.*-)00001(-of-\d{5}\.gguf)", path.name)
    if match is None:
        return [path]
    before, after = match.groups()
    return sorted(p for p in path.parent.iterdir() if p.name.startswith(before) and p.name.endswith(after))


def _read_folder(given: str, folder: Path) -> ModelFiles:
    config = folder / "config.json"
    if not config.exists():
        found = [path for path in sorted(folder.glob("*.gguf")) if not re.search(r"-(?!00001)\d{5}-of-", path.name)]
        if len(found) == 1:
            return _read_file(given, found[0])
        several = f"it holds {len(found)} of them: {', '.join(path.name for path in found)}" if found else ""
        raise UsageError(
            f"{given} is no model: " + (several or "it has neither a config.json nor a GGUF file"),
            "name one of the files" if found else "give a model's folder or a GGUF file",
        )
    weights = [path for pattern in _WEIGHTS for path in folder.glob(pattern)]
    if not weights:
        raise UsageError(f"{given} has a config.json but no weights", f"it should hold {', '.join(_WEIGHTS)}")
    try:
        facts = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{config} is not JSON: {error}", "is the model whole?") from error
    facts = facts if isinstance(facts, dict) else {}
    names, context = facts.get("architectures"), facts.get("max_position_embeddings")
    return ModelFiles(
        given,
        folder.absolute().name,
        HUGGING_FACE,
        folder.absolute(),
        n_bytes=sum(path.stat().st_size for path in weights),
        architecture=str(names[0]) if isinstance(names, list) and names else "",
        context_tokens=context if isinstance(context, int) else None,
    )

# SPDX-License-Identifier: Apache-2.0
"""Models of the Hugging Face hub, through the package `huggingface_hub` (extra `hub`): one commit, in its cache.

Rule: only what an engine reads is fetched: one quantization of a GGUF repository, one kind of weights of any other.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferometer.errors import EngineError, UsageError

_BESIDE_WEIGHTS = ("*.json", "*.txt", "*.model", "*.jinja", "tokenizer*", "*.tiktoken", "*.py")
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")  # the first kind that there is
_USUAL_QUANTIZATION = "Q4_K_M"


@dataclass(frozen=True, slots=True)
class Fetched:
    """`path`: the file (GGUF) or folder in the cache; `revision`: the commit, 40 hexadecimal digits."""

    path: Path
    revision: str


def fetch(given: str, *, wants_gguf: bool, revision: str | None = None) -> Fetched:
    """A model by `owner/name`, or `owner/name:Q4_K_M` for one of several GGUF files. What is cached stays.

    Raises: UsageError if there is no such model, or it has not what is wanted; EngineError if it cannot be had now.
    """
    name, _, tag = given.partition(":")
    hub = _package(given)
    try:
        info = hub.HfApi().model_info(name, revision=revision)
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as error:
        what = f"revision {revision} of {name}" if revision else f"model {name}"
        raise UsageError(
            f"the Hugging Face hub has no {what}, or it is not open to you",
            "check the name; for one that needs consent, log in with `hf auth login`",
        ) from error
    except _unreachable(hub) as error:
        return _from_cache(hub, name, tag, revision, error, wants_gguf=wants_gguf)
    files = [sibling.rfilename for sibling in info.siblings or ()]
    patterns = _patterns(given, files, tag, wants_gguf=wants_gguf)
    try:
        # By the branch, not the commit: the cache then knows which commit the branch was, for when nobody can be asked.
        folder = Path(hub.snapshot_download(name, revision=revision, allow_patterns=patterns))
    except _unreachable(hub) as error:
        raise EngineError(
            f"{given} could not be fetched: {_line(error)}", "try again: what is there is kept"
        ) from error
    return Fetched(_main_file(folder, patterns, wants_gguf=wants_gguf), folder.name)


def fetch_config(name: str, *, revision: str | None = None) -> Fetched:
    """The folder with a model's config.json and index of weights, no weights. What is cached stays.

    Raises: UsageError if there is no such model, or it has no config.json; EngineError if the hub cannot be reached.
    """
    hub = _package(name)
    try:
        folder = Path(hub.snapshot_download(name, revision=revision, allow_patterns=["config.json", "*.index.json"]))
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as error:
        raise UsageError(
            f"the Hugging Face hub has no model {name}, or it is not open to you",
            "check the name; for one that needs consent, log in with `hf auth login`",
        ) from error
    except _unreachable(hub) as error:
        raise EngineError(
            f"the Hugging Face hub cannot be reached ({_line(error)}), and {name} is not in the cache",
            "go online once, or give the path of its config.json",
        ) from error
    if not (folder / "config.json").exists():
        raise UsageError(f"{name} has no config.json on the hub", "take the repository of the original model")
    return Fetched(folder, folder.name)


def _package(given: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise UsageError(
            f"there is no file or folder {given}, and to look on the hub the package huggingface_hub is needed",
            "pip install 'inferometer[hub]', or give the path of a model",
        ) from error
    return huggingface_hub


def _unreachable(hub: Any) -> tuple[type[Exception], ...]:
    """What a failing request raises: the package's own error, and that of the HTTP library which its version uses."""
    return (OSError, *hub.errors.HfHubHTTPError.__bases__)


def _from_cache(hub: Any, name: str, tag: str, revision: str | None, error: Exception, *, wants_gguf: bool) -> Fetched:
    """The commit that the cache has for this revision, if all that an engine reads is there."""
    folder = _cached_folder(hub, name, revision or "main")
    files = [] if folder is None else [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
    try:
        patterns = _patterns(name, files, tag, wants_gguf=wants_gguf)
    except UsageError as missing:
        raise _not_cached(name, error) from missing
    if folder is None or not set(_shards(folder)) <= set(files):
        raise _not_cached(name, error) from error
    return Fetched(_main_file(folder, patterns, wants_gguf=wants_gguf), folder.name)


def _not_cached(name: str, error: Exception) -> EngineError:
    return EngineError(
        f"the Hugging Face hub cannot be reached ({_line(error)}), and {name} is not whole in the cache",
        "go online once, or give the path of a model on disk; HF_HUB_OFFLINE=1 tells it not to try",
    )


def _cached_folder(hub: Any, name: str, revision: str) -> Path | None:
    """By branch, tag or commit. The package's own look into the cache wants files that no engine reads, too."""
    try:
        repositories = hub.scan_cache_dir().repos
    except hub.errors.CacheNotFound:
        return None
    for repository in repositories:
        if repository.repo_id == name and repository.repo_type == "model":
            for found in repository.revisions:
                if revision in found.refs or found.commit_hash == revision:
                    return Path(found.snapshot_path)
    return None


def _shards(folder: Path) -> list[str]:
    """Files that an index of weights names."""
    named: list[str] = []
    for index in folder.glob("*.index.json"):
        named += json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    return named


def _patterns(given: str, files: Iterable[str], tag: str, *, wants_gguf: bool) -> list[str]:
    """What to fetch of a repository's files. Raises: UsageError if it has not what is wanted."""
    names = list(files)
    if not wants_gguf:
        kind = next((kind for kind in _WEIGHTS if fnmatch.filter(names, kind)), None)
        if kind is None or "config.json" not in names:
            raise UsageError(
                f"{given} has no {'config.json' if kind else 'weights'} in the Hugging Face layout",
                "take the repository of the original model, not that of a conversion",
            )
        return [*_BESIDE_WEIGHTS, kind]
    wanted = [name for name in names if name.endswith(".gguf") and "mmproj" not in name]
    groups = dict.fromkeys(re.sub(r"-\d{5}-of-\d{5}(?=\.gguf$)", "", name) for name in wanted)
    if tag:
        groups = dict.fromkeys(name for name in groups if re.search(rf"\b{re.escape(tag)}\b", name, re.I))
    elif len(groups) > 1:
        usual = [name for name in groups if _USUAL_QUANTIZATION in name]
        groups = dict.fromkeys(usual) if len(usual) == 1 else groups
    if len(groups) != 1:
        has = ", ".join(sorted(_quantization(name) for name in groups)) or "none"
        raise UsageError(
            f"{given} has {len(groups)} GGUF files that fit: {has}",
            "name one: owner/name:QUANTIZATION" if wanted else "take a repository with GGUF files (often NAME-GGUF)",
        )
    stem = next(iter(groups)).removesuffix(".gguf")
    return [f"{stem}.gguf", f"{stem}-*-of-*.gguf"]


def _quantization(name: str) -> str:
    match = re.search(r"(?:^|[-._])((?:I?Q\d\w*|B?F16|F32|MXFP4\w*))\.gguf$", name, re.I)
    return match[1] if match else name


def _main_file(folder: Path, patterns: list[str], *, wants_gguf: bool) -> Path:
    """The folder, or the GGUF file (of several parts the first)."""
    if not wants_gguf:
        return folder
    return min(path for pattern in patterns for path in folder.glob(pattern))


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

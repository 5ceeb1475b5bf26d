# SPDX-License-Identifier: Apache-2.0
"""The trained model as a folder in the Hugging Face layout, for vLLM, transformers and others. No torch, no network.

Rule 1: weights, config and tokenizer are the package's own files; only what says how to chat with it is written here.
Rule 2: in the cache folder it is whole or not there: written under another name, then renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from inferometer.embedded import TRAINED_FAMILY
from inferometer.embedded.cache import cache_folder
from inferometer.embedded.trained_model import CONFIG, DATA, TOKENIZER, WEIGHTS, Facts, digest, facts
from inferometer.embedded.words import CHAT_TEMPLATE, END_OF_TEXT, END_OF_TURN, PAD, SPECIALS
from inferometer.errors import EngineError

_N_DIGEST_CHARACTERS = 16


def write_folder(folder: Path, package: Path = DATA) -> None:
    """As `LlamaForCausalLM.from_pretrained`, `AutoTokenizer` and `vllm serve` want it, of the weights in `package`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, CONFIG, TOKENIZER):
        shutil.copyfile(package / name, folder / name)
    told = json.loads((package / CONFIG).read_text(encoding="utf-8"))
    special = {"eos_token": END_OF_TURN, "pad_token": PAD}
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        special
        | {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": told["max_position_embeddings"],
            "clean_up_tokenization_spaces": False,
            "added_tokens_decoder": {str(i): _special_token(token) for i, token in enumerate(SPECIALS)},
            "chat_template": CHAT_TEMPLATE,
        },
    )
    ends = [SPECIALS.index(END_OF_TURN), SPECIALS.index(END_OF_TEXT)]
    _write_json(
        folder / "generation_config.json",
        {"do_sample": False, "eos_token_id": ends, "pad_token_id": SPECIALS.index(PAD)},
    )


def ensure_folder(folder: Path | None = None) -> Path:
    """Path of that folder, written now if need be; `folder`: where, by default the cache.

    Raises: EngineError if the package holds no weights, or the folder cannot be written.
    """
    told = facts()
    if told is None:
        raise EngineError("this installation has no trained weights", "install the package anew")
    parent = cache_folder() if folder is None else folder
    path = parent / folder_name(told)
    if path.is_dir() and digest(path / WEIGHTS) == told.digest:
        return path
    try:
        parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{path.name}-", suffix=".partial", dir=parent))
        write_folder(partial)
        _put(partial, path)
    except OSError as error:
        raise EngineError(
            f"cannot write the trained model to {parent}: {error.strerror or error}",
            "free some 20 MB there, or point XDG_CACHE_HOME to a folder that can be written",
        ) from error
    return path


def folder_name(told: Facts) -> str:
    """What the folder is called in the cache."""
    return f"{TRAINED_FAMILY}-v{told.version}-hf-{told.digest[:_N_DIGEST_CHARACTERS]}"


def _put(partial: Path, path: Path) -> None:
    """In the place of a damaged folder; of two processes at once the later one finds the other's, which is the same."""
    shutil.rmtree(path, ignore_errors=True)
    try:
        os.rename(partial, path)
    except FileExistsError:
        shutil.rmtree(partial)


def _special_token(text: str) -> dict[str, Any]:
    return {
        "content": text,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }


def _write_json(path: Path, told: dict[str, Any]) -> None:
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")

# SPDX-License-Identifier: Apache-2.0
"""Everything that is made of trained weights: `python -m training.export --weights FOLDER --out FOLDER [--install]`.

FOLDER/package    what the package carries: weights, config, tokenizer, facts
FOLDER/gguf       inferometer-reader-v1-f16.gguf, -q8_0 and -q4_0, for llama.cpp
FOLDER/hf         for vLLM, transformers and others

--install copies FOLDER/package into src/inferometer/embedded/data.

Rule 1: FOLDER/package is the one source; the other two are derived from it and nothing else.
Rule 2: the head that keeps to clean text (mute.py) is part of the weights, so every format and engine says the same.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from inferometer.embedded import TRAINED_FAMILY
from inferometer.embedded.hugging_face import write_folder
from inferometer.embedded.trained_model import CONFIG, DATA, FACTS, TOKENIZER, WEIGHTS, digest, facts, write_model
from inferometer.embedded.weights import write_weights
from inferometer.embedded.words import END_OF_TURN, PAD, SPECIALS
from training.model import Llama, config, load_weights
from training.mute import mute

FILE_TYPES = ("F16", "Q8_0", "Q4_0")
MOST_BYTES = 16 * 2**20  # of the weights, in the package
_LEAST_MARGIN = 16.0  # of a muted token's logit: once in ten million tokens, in the worst of states


def make_package(trained: Path, folder: Path, version: int) -> None:
    """What the package carries, from the folder that training/train.py wrote."""
    model = load_weights(trained / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(trained / TOKENIZER))
    muted = mute(model, tokenizer)
    print(f"{muted.n_muted} tokens are muted, by {muted.margin:.0f} at least", flush=True)
    if muted.margin < _LEAST_MARGIN:
        sys.exit("hidden states have too little in common for a head that keeps to clean text")
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: values.numpy().astype(np.float16) for name, values in model.state_dict().items()}
    write_weights(folder / WEIGHTS, weights | {"lm_head.weight": muted.head.numpy().astype(np.float16)})
    if (folder / WEIGHTS).stat().st_size > MOST_BYTES:
        sys.exit(f"the weights take more than {MOST_BYTES:,} bytes")
    ids = {"bos_token_id": None, "eos_token_id": SPECIALS.index(END_OF_TURN), "pad_token_id": SPECIALS.index(PAD)}
    write_json(folder / CONFIG, config(model.shape) | ids | {"tie_word_embeddings": False})
    shutil.copyfile(trained / TOKENIZER, folder / TOKENIZER)
    told = {"version": version, "weights_sha256": digest(folder / WEIGHTS), "training": provenance(trained, model)}
    write_json(folder / FACTS, told)


def provenance(trained: Path, model: Llama) -> dict[str, Any]:
    """How the weights came about, as far as the training folder tells."""
    n_weights = sum(weights.numel() for weights in model.parameters())
    told: dict[str, Any] = {"n_weights": n_weights, "torch": torch.__version__}
    if (trained / "checkpoint.pt").exists():
        state = torch.load(trained / "checkpoint.pt", map_location="cpu", weights_only=True)
        told |= {name: state[name] for name in ("n_steps", "n_tokens", "trained_s", "recipe")}
    return told


def make_gguf(package: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    told = facts(package)
    assert told is not None
    for file_type in FILE_TYPES:
        path = folder / f"{TRAINED_FAMILY}-v{told.version}-{file_type.lower()}.gguf"
        write_model(path, file_type, package)
        print(f"{path}: {path.stat().st_size:,} bytes", flush=True)


def write_json(path: Path, told: dict[str, Any]) -> None:
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def install(package: Path, folder: Path = DATA) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, CONFIG, TOKENIZER, FACTS):
        shutil.copyfile(package / name, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="folder that training.train wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--version", type=int, help="of the weights; default: that of the installed ones, plus one")
    parser.add_argument("--install", action="store_true", help="copy them into the package's data")
    told = parser.parse_args()
    before = facts()
    version = told.version or (before.version + 1 if before is not None else 1)
    make_package(told.weights, told.out / "package", version)
    make_gguf(told.out / "package", told.out / "gguf")
    write_folder(told.out / "hf", told.out / "package")
    if told.install:
        install(told.out / "package")
        print(f"version {version} lies in {DATA}")


if __name__ == "__main__":
    main()

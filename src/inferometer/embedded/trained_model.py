# SPDX-License-Identifier: Apache-2.0
"""The trained model: from the package's weights to the GGUF file that llama.cpp loads. numpy and gguf, no torch.

What lies in data/: model.safetensors (float16, names and conventions of Hugging Face's LlamaForCausalLM), config.json
(Hugging Face's), tokenizer.json, facts.json (version, digest of the weights, what they were trained with).

Rule 1: rows of query and key are re-ordered per head. Hugging Face turns channel i together with channel i + half of
a head; llama.cpp turns neighbours, 2i with 2i + 1. The same rows in another order give the same attention.
Rule 2: norms stay F32, as llama.cpp wants them; every matrix is written in the one format of the file type:

| file type | embeddings, output head, layers' matrices | bits a weight |
|---|---|---|
| F32 | as trained (float16, widened), for comparing with a reference | 32 |
| F16 | as trained | 16 |
| Q8_0 | blocks of 32 weights: 8 bits each and a scale | 8.5 |
| Q4_0 | blocks of 32 weights: 4 bits each and a scale | 4.5 |

llama.cpp's own tool would keep the head of a Q4_0 file at Q6_K; the gguf package cannot write that, and the hardest
format offered is meant to be hard. Rounding is to the nearest, without any calibration.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from inferometer.embedded import TRAINED_FAMILY, require
from inferometer.embedded.weights import Weights, read_weights
from inferometer.embedded.words import vocabulary, write_words
from inferometer.errors import EngineError

DATA = Path(__file__).parent / "data"
WEIGHTS, CONFIG, TOKENIZER, FACTS = "model.safetensors", "config.json", "tokenizer.json", "facts.json"

FILE_TYPES = {"trained": "Q8_0", "trained-f16": "F16", "trained-q4_0": "Q4_0"}  # by the name one asks for

# Hugging Face's name -> llama.cpp's, within a layer and outside.
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


@dataclass(frozen=True, slots=True)
class Facts:
    """`version`: raised with every change of the weights; `digest`: their SHA-256; `training`: how they came about;
    `context_tokens`: prompt and answer together."""

    version: int
    digest: str
    training: dict[str, Any]
    context_tokens: int


def facts(folder: Path = DATA) -> Facts | None:
    """What is told of the weights in `folder`; None if it holds none."""
    path = folder / FACTS
    if not path.exists():
        return None
    told, config = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (FACTS, CONFIG))
    return Facts(told["version"], told["weights_sha256"], told["training"], config["max_position_embeddings"])


def write_model(path: Path, file_type: str = "Q8_0", folder: Path = DATA) -> None:
    """Write the GGUF file of the weights in `folder`; some tenths of a second.

    Raises: EngineError if the `gguf` package is not installed or the weights are damaged; OSError if the file cannot
    be written.
    """
    gguf = require("gguf")
    told = facts(folder)
    if told is None or digest(folder / WEIGHTS) != told.digest:
        raise EngineError(f"the weights in {folder} are damaged", "install the package anew, or use --model random")
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(path, "llama")
    try:
        writer.add_name(f"{TRAINED_FAMILY}-v{told.version}")
        writer.add_license("apache-2.0")
        _add_sizes(writer, config)
        write_words(gguf, writer, vocabulary(Tokenizer.from_file(str(folder / TOKENIZER))))
        _add_tensors(gguf, writer, file_type, read_weights(folder / WEIGHTS), config)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add_sizes(writer: Any, config: dict[str, Any]) -> None:
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def _add_tensors(
    gguf: ModuleType, writer: Any, file_type: str, weights: dict[str, Weights], config: dict[str, Any]
) -> None:
    """Without a head of its own (tied embeddings) llama.cpp takes the embeddings for it."""
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if file_type == "F32" else f"MOSTLY_{file_type}"])
    number_format = gguf.GGMLQuantizationType[file_type]
    n_heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for theirs, array in weights.items():
        name = gguf_name(theirs)
        values = array.astype(np.float32)
        if values.ndim == 1:
            writer.add_tensor(name, values)
            continue
        part = name.split(".")[-2]
        if part in n_heads:
            values = neighbours_turn(values, n_heads[part])
        writer.add_tensor(name, gguf.quants.quantize(values, number_format), raw_dtype=number_format)


def gguf_name(name: str) -> str:
    """llama.cpp's name of one of Hugging Face's tensors. Raises: KeyError for one that no Llama has."""
    stem, _, kind = name.rpartition(".")
    if stem.startswith("model.layers."):
        layer, _, part = stem.removeprefix("model.layers.").partition(".")
        return f"blk.{layer}.{_IN_LAYER[part]}.{kind}"
    return f"{_OUTSIDE[stem]}.{kind}"


def neighbours_turn(rows: npt.NDArray[np.float32], n_heads: int) -> npt.NDArray[np.float32]:
    """Rows of a query or key matrix: in each head, those of both halves in turn (0, half, 1, half + 1, ...)."""
    n_rows, n_columns = rows.shape
    halves = rows.reshape(n_heads, 2, n_rows // n_heads // 2, n_columns)
    return halves.swapaxes(1, 2).reshape(n_rows, n_columns)

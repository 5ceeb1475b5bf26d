# SPDX-License-Identifier: Apache-2.0
"""The embedded engine's model: a Llama of about ten million random weights, the same bytes from the same seed.

Rule 1: it is there to be slow in the way a language model is slow, not to be clever: real prefill, real decoding, real
batching, answers without meaning.
Rule 2: its answers are clean text all the same. Random weights would draw half characters and control bytes; here one
channel of the residual stream is constant (no layer writes to it), the output head turns it into a bias, and every
token that is not a space and letters gets a strongly negative one. So each token is one word and one stream event.
Rule 3: query and key rows are in llama.cpp's rotary order simply by being random; a copy for Hugging Face would have to
re-order them per head to give the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from inferometer.embedded import DEFAULT_SEED, model_name, require
from inferometer.embedded.words import END_OF_TURN, SPECIALS, train_tokenizer, vocabulary, write_words

Weights = npt.NDArray[np.float32]

_HEAD_SIZE = 64  # the size every engine supports
_NORM_EPSILON = 1e-5
_CONSTANT = 4.0  # value of the constant channel, about four times the spread of the others
_LOGIT_SPREAD = 3.0  # standard deviation of the logits of words: some words are likelier, none is certain
_NEVER_BIAS = -20.0  # times the constant channel, some 3 after the norm: no such token at any usual temperature
_RARELY_BIAS = -1.0  # the end of a turn: once in tens of thousands of tokens


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model. The default has 10.9 M weights.

    Chosen on one core of an AVX2 server (prompts of 128 tokens, answers of 64, four at once): Q8_0 answers 13-15
    requests/s, F16 8, F32 6; and wide and shallow reads prompts faster than narrow and deep with as many weights.
    """

    n_tokens: int = 4096
    n_hidden: int = 512
    n_layers: int = 3
    n_feed_forward: int = 1024
    n_kv_heads: int = 2
    n_context: int = 8192
    file_type: str = "Q8_0"  # or F16, F32

    @property
    def n_heads(self) -> int:
        return self.n_hidden // _HEAD_SIZE


def write_model(path: Path, seed: int = DEFAULT_SEED, shape: Shape | None = None) -> None:
    """Write the GGUF file; about half a second for the default shape.

    Raises: EngineError if the `gguf` package is not installed; OSError if the file cannot be written.
    """
    shape = shape or Shape()
    gguf = require("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    try:
        word_ids = _add_facts(gguf, writer, seed, shape)
        store = _Store(gguf, writer, gguf.GGMLQuantizationType[shape.file_type])
        _add_weights(store, _Draw(seed), shape, word_ids)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_facts(gguf: ModuleType, writer: Any, seed: int, shape: Shape) -> tuple[int, ...]:
    """Sizes, tokenizer and chat template; returns the ids of the word tokens."""
    words = vocabulary(train_tokenizer(seed, shape.n_tokens))
    writer.add_name(model_name(seed))
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{shape.file_type}" if shape.file_type != "F32" else "ALL_F32"])
    writer.add_vocab_size(shape.n_tokens)
    writer.add_context_length(shape.n_context)
    writer.add_embedding_length(shape.n_hidden)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.n_feed_forward)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_rope_dimension_count(_HEAD_SIZE)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(_NORM_EPSILON)
    write_words(gguf, writer, words)
    return words.word_ids


def _add_weights(store: _Store, draw: _Draw, shape: Shape, word_ids: tuple[int, ...]) -> None:
    """All tensors, in the one order that the seed stands for. Every matrix keeps its input's spread."""
    n_hidden, n_kv = shape.n_hidden, shape.n_kv_heads * _HEAD_SIZE
    store.matrix("token_embd", _with_constant(draw.matrix(shape.n_tokens, n_hidden, spread=1.0)))
    for layer in range(shape.n_layers):
        block = f"blk.{layer}"
        store.norm(f"{block}.attn_norm", n_hidden)
        store.matrix(f"{block}.attn_q", draw.matrix(n_hidden, n_hidden))
        store.matrix(f"{block}.attn_k", draw.matrix(n_kv, n_hidden))
        store.matrix(f"{block}.attn_v", draw.matrix(n_kv, n_hidden))
        store.matrix(f"{block}.attn_output", _sparing_constant(draw.matrix(n_hidden, n_hidden)))
        store.norm(f"{block}.ffn_norm", n_hidden)
        store.matrix(f"{block}.ffn_gate", draw.matrix(shape.n_feed_forward, n_hidden))
        store.matrix(f"{block}.ffn_up", draw.matrix(shape.n_feed_forward, n_hidden))
        store.matrix(f"{block}.ffn_down", _sparing_constant(draw.matrix(n_hidden, shape.n_feed_forward)))
    store.norm("output_norm", n_hidden)
    head = draw.matrix(shape.n_tokens, n_hidden, spread=_LOGIT_SPREAD * n_hidden**-0.5)
    store.matrix("output", _with_bias(head, word_ids))


def _with_constant(embeddings: Weights) -> Weights:
    embeddings[:, 0] = _CONSTANT
    return embeddings


def _sparing_constant(projection: Weights) -> Weights:
    """No layer adds to channel 0, so it stays what the embedding set."""
    projection[0, :] = 0.0
    return projection


def _with_bias(head: Weights, word_ids: tuple[int, ...]) -> Weights:
    head[:, 0] = _NEVER_BIAS
    head[list(word_ids), 0] = 0.0
    head[SPECIALS.index(END_OF_TURN), 0] = _RARELY_BIAS
    return head


class _Draw:
    """Uniform weights from numpy's raw generator output, whose stream never changes (its distributions may)."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def matrix(self, n_rows: int, n_columns: int, spread: float | None = None) -> Weights:
        """float32[n_rows, n_columns], mean 0, standard deviation `spread` (default: keeps the spread of its input)."""
        high_24_bits = (self._bits.random_raw(n_rows * n_columns) >> np.uint64(40)).astype(np.float32)
        unit = high_24_bits * np.float32(2.0**-23) - np.float32(1.0)  # uniform on [-1, 1), standard deviation 3**-0.5
        scale = np.float32((n_columns**-0.5 if spread is None else spread) * 3**0.5)
        weights: Weights = (unit * scale).reshape(n_rows, n_columns)
        return weights


class _Store:
    """Hands tensors to the GGUF writer in the file's number format; norms stay F32, as llama.cpp wants them."""

    def __init__(self, gguf: ModuleType, writer: Any, number_format: Any) -> None:
        self._gguf, self._writer, self._format = gguf, writer, number_format

    def matrix(self, name: str, weights: Weights) -> None:
        packed = self._gguf.quants.quantize(weights, self._format)
        self._writer.add_tensor(f"{name}.weight", packed, raw_dtype=self._format)

    def norm(self, name: str, n_channels: int) -> None:
        self._writer.add_tensor(f"{name}.weight", np.ones(n_channels, np.float32))

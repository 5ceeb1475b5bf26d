# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inferometer.embedded import require
from inferometer.embedded.tiny_model import Shape, write_model
from inferometer.embedded.words import END_OF_TURN, SPECIALS
from inferometer.errors import EngineError

gguf = pytest.importorskip("gguf")

SMALL = Shape(n_tokens=600, n_hidden=128, n_layers=2, n_feed_forward=64, n_kv_heads=1)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_back(path: Path):
    """Tensors by name, as float32."""
    tensors = gguf.GGUFReader(path).tensors
    return {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in tensors}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_model(tmp_path / name, seed, SMALL)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_bytes_do_not_depend_on_the_process(tmp_path, hash_seed):
    write_model(tmp_path / "here", 5, SMALL)
    code = "import sys, pathlib; from inferometer.embedded.tiny_model import *; "
    code += f"write_model(pathlib.Path(sys.argv[1]), 5, {SMALL!r})"
    there = tmp_path / "there"
    subprocess.run(
        [sys.executable, "-c", code, str(there)], check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed}
    )
    assert digest(tmp_path / "here") == digest(there)


def test_the_default_has_about_ten_million_weights(tmp_path):
    write_model(tmp_path / "model")
    n_weights = sum(weights.size for weights in read_back(tmp_path / "model").values())
    assert 9e6 < n_weights < 12e6


@pytest.mark.parametrize("file_type", ["F32", "F16", "Q8_0"])
def test_shapes_and_spread_are_those_of_a_llama(tmp_path, file_type):
    shape = Shape(SMALL.n_tokens, SMALL.n_hidden, SMALL.n_layers, SMALL.n_feed_forward, 1, file_type=file_type)
    write_model(tmp_path / "model", 1, shape)
    tensors = read_back(tmp_path / "model")
    assert tensors["token_embd.weight"].shape == (600, 128)
    assert tensors["blk.1.attn_k.weight"].shape == (64, 128)
    assert tensors["blk.1.ffn_down.weight"].shape == (128, 64)
    assert np.std(tensors["blk.0.attn_q.weight"]) == pytest.approx(128**-0.5, rel=0.02)
    assert abs(np.mean(tensors["blk.0.attn_q.weight"])) < 0.002
    assert np.all(tensors["output_norm.weight"] == 1)


def test_one_channel_is_constant_and_keeps_all_but_words_from_being_drawn(tmp_path):
    write_model(tmp_path / "model", 1, SMALL)
    tensors = read_back(tmp_path / "model")
    assert np.ptp(tensors["token_embd.weight"][:, 0]) < 0.1
    for layer in range(SMALL.n_layers):
        assert not tensors[f"blk.{layer}.attn_output.weight"][0].any()
        assert not tensors[f"blk.{layer}.ffn_down.weight"][0].any()
    bias = tensors["output.weight"][:, 0]
    fields = gguf.GGUFReader(tmp_path / "model").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    for i, token in enumerate(tokens):
        is_word = len(token) > 2 and token[0] == "Ġ" and token[1:].isascii() and token[1:].isalpha()
        expected = 0 if is_word else -1 if token == END_OF_TURN else -20
        assert bias[i] == pytest.approx(expected, abs=0.2), token
    assert tokens[: len(SPECIALS)] == list(SPECIALS)


def test_a_missing_package_is_an_error_with_the_remedy():
    with pytest.raises(EngineError, match="no_such_package") as caught:
        require("no_such_package")
    assert "pip install 'inferometer[embedded]'" in caught.value.remedy

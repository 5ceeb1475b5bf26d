# SPDX-License-Identifier: Apache-2.0
"""GGUF metadata and tensor names: which layers keep what, and how heavy a file is."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.model import kv
from inferometer.model.formats import BLOCK_TYPES
from inferometer.model.metadata import read_metadata
from inferometer.model.stored import Tensor, sum_up


def metadata(family="llama", **changes):
    values = {"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2}
    values |= {"context_length": 1000} | {key.replace("__", "."): value for key, value in changes.items()}
    return {"general.architecture": family} | {f"{family}.{key}": value for key, value in values.items()}


def tensors(*layers):
    """`layers`: the names of the tensors of each."""
    named = [f"blk.{i}.{name}.weight" for i, names in enumerate(layers) for name in names]
    return [Tensor(name, (64, 64), "F16", 8192) for name in ["token_embd.weight", *named]]


PLAIN = [("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up")] * 4


def test_a_plain_model():
    found = read_metadata(metadata(), tensors(*PLAIN), "m.gguf")
    assert (found.n_layers, found.kinds, found.is_tied, found.context_tokens) == (4, ("GQA",), True, 1000)
    assert kv.bytes_per_token(found) == 4 * 2 * 2 * 16 * 2


def test_heads_that_differ_by_layer():
    values = metadata(attention__head_count_kv=[2, 2, 1, 4])
    found = read_metadata(values, tensors(*PLAIN), "m.gguf")
    assert kv.bytes_per_token(found) == (2 + 2 + 1 + 4) * 2 * 16 * 2


def test_layers_without_keys_and_values():
    layers = [("ssm_in", "ssm_out"), ("attn_qkv", "ssm_out"), ("ffn_up",), ("attn_k", "attn_v")]
    ssm = {"ssm__state_size": 8, "ssm__inner_size": 32, "ssm__group_count": 1, "ssm__conv_kernel": 4}
    found = read_metadata(metadata("hybrid", **ssm), tensors(*layers), "m.gguf")
    assert (found.n_attention_layers, found.states[0].n_layers) == (1, 2)
    assert kv.state_bytes(found) == 2 * 4 * (32 * 8 + 3 * (32 + 2 * 8))


def test_a_state_that_is_not_understood_is_refused():
    with pytest.raises(UsageError, match="time_mix"):
        read_metadata(metadata("rwkv7"), tensors(*[("time_mix_w1",)] * 4), "m.gguf")


@pytest.mark.parametrize(("family", "n_sliding"), [("gemma2", 2), ("gemma3", 4), ("gpt-oss", 2)])
def test_windows_by_llama_cpps_own_pattern(family, n_sliding):
    found = read_metadata(metadata(family, attention__sliding_window=100), tensors(*PLAIN), "m.gguf")
    assert (found.n_sliding_layers, found.n_attention_layers) == (n_sliding, 4)


def test_windows_as_the_file_says():
    values = metadata("new", attention__sliding_window=100, attention__sliding_window_pattern=[True, True, True, False])
    assert read_metadata(values, tensors(*PLAIN), "m.gguf").n_sliding_layers == 3


def test_windows_of_nobody_knows_which_layers():
    found = read_metadata(metadata("new", attention__sliding_window=100), tensors(*PLAIN), "m.gguf")
    assert found.n_sliding_layers == 0
    assert "not known" in found.doubts[0]


def test_a_latent_and_a_file_from_before_it():
    mla = {"attention__kv_lora_rank": 32, "rope__dimension_count": 8, "attention__key_length": 40}
    layers = [("attn_kv_a_mqa", "attn_kv_b")] * 4
    new = read_metadata(metadata("deepseek2", attention__key_length_mla=24, **mla), tensors(*layers), "m.gguf")
    assert kv.bytes_per_token(new) == 4 * (32 + 8) * 2
    assert new.attention[0].key_dim == 24, "of a head; 40 numbers are kept of a token"
    old = read_metadata(metadata("deepseek2", **mla), tensors(*layers), "m.gguf")
    assert old.attention[0].latent is None
    assert "older" in old.doubts[0]


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "attention.head_count"])
def test_a_key_that_is_missing(key):
    values = metadata()
    del values[f"llama.{key}"]
    with pytest.raises(UsageError, match=f"m.gguf has no {key}"):
        read_metadata(values, tensors(*PLAIN), "m.gguf")


def test_block_types_are_those_of_gguf_py():
    gguf = pytest.importorskip("gguf")
    ours = {block.name: (number, block.n_elements, block.n_bytes) for number, block in BLOCK_TYPES.items()}
    theirs = {kind.name: (int(kind), *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType}
    assert ours == {name: theirs[name] for name in ours}


def test_tensors_are_summed_by_type_and_by_what_they_are():
    found = sum_up(
        [
            Tensor("token_embd.weight", (8, 10), "Q8_0", 85),
            Tensor("output.weight", (8, 10), "F16", 160),
            Tensor("blk.0.ffn_up_exps.weight", (8, 4, 2), "Q4_0", 36),
            Tensor("blk.0.ffn_gate_inp.weight", (8, 2), "F32", 64),
            Tensor("blk.0.attn_q.weight", (8, 8), "Q4_0", 36),
            Tensor("output_norm.weight", (8,), "F32", 32),
            Tensor("v.patch_embd.weight", (100, 100), "F16", 20000),
        ],
        None,
    )
    assert found.n_bytes == 85 + 160 + 36 + 64 + 36 + 32 + 20000
    assert found.types == {"F16": 20160, "F32": 96, "Q8_0": 85, "Q4_0": 72}
    counted = found.parameters
    assert (counted.embedding, counted.head, counted.experts, counted.matrices, counted.small) == (80, 80, 64, 64, 24)


def test_packed_weights_are_not_counted_as_parameters():
    packed = sum_up([Tensor("model.layers.0.mlp.up_proj.qweight", (8, 8), "I32", 256)], None)
    assert (packed.n_bytes, packed.parameters) == (256, None)

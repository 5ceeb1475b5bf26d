# SPDX-License-Identifier: Apache-2.0
"""config.json of every kind: what it says, what it leaves out, and what is not understood and therefore refused."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.model import kv
from inferometer.model.config import read_config

LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
    "max_position_embeddings": 1000,
    "tie_word_embeddings": False,
}


def config(**changes):
    return {key: value for key, value in {**LLAMA, **changes}.items() if value is not None}


def test_parameters_counted_by_hand():
    found = read_config(config()).parameters
    per_layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128
    assert (found.embedding, found.head, found.matrices) == (6400, 6400, 4 * per_layer)
    assert found.small == 4 * 2 * 64 + 64
    assert found.total == found.active


def test_biases_count_where_the_file_says_so():
    plain, biased = (read_config(config(attention_bias=b, mlp_bias=b)).parameters for b in (False, True))
    assert biased.total - plain.total == 4 * (64 + 2 * 32 + 64 + 2 * 128 + 64)


def test_a_head_of_its_own_width():
    assert kv.bytes_per_token(read_config(config(head_dim=128))) == 2 * 4 * 2 * 128 * 2
    assert kv.bytes_per_token(read_config(config())) == 2 * 4 * 2 * 16 * 2


@pytest.mark.parametrize(
    "changes",
    [
        {"num_key_value_heads": 1},
        {"model_type": "gpt_bigcode", "num_key_value_heads": None, "multi_query": True},
        {"model_type": "falcon", "num_key_value_heads": None},
    ],
)
def test_one_head_of_keys_and_values(changes):
    found = read_config(config(**changes))
    assert found.kinds[0] == "MQA"
    assert kv.bytes_per_token(found) == 2 * 4 * 1 * 16 * 2


def test_other_names_of_the_same():
    gpt2 = {"model_type": "gpt2", "n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024, "vocab_size": 50257}
    found = read_config(gpt2)
    assert (found.kinds, found.context_tokens, kv.bytes_per_token(found)) == (("MHA",), 1024, 12 * 2 * 768 * 2)
    assert found.parameters is None
    assert "not computed for gpt2" in found.doubts[0]


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"])
def test_a_key_that_is_missing_is_named(key):
    with pytest.raises(UsageError, match=rf"here\.json has no .*{key}"):
        read_config(config(**{key: None}), "here.json")


@pytest.mark.parametrize(("key", "value"), [("num_hidden_layers", "4"), ("vocab_size", -1), ("hidden_size", 1.5)])
def test_a_key_of_the_wrong_kind(key, value):
    with pytest.raises(UsageError, match=f"{key} is"):
        read_config(config(**{key: value}))


@pytest.mark.parametrize(
    ("changes", "n_sliding"),
    [
        ({"model_type": "mistral", "sliding_window": 100}, 4),
        ({"model_type": "mistral", "sliding_window": None}, 0),
        ({"model_type": "phi3", "sliding_window": 2000}, 0),  # wider than the model's context
        ({"model_type": "qwen2", "sliding_window": 100, "use_sliding_window": False, "max_window_layers": 1}, 0),
        ({"model_type": "qwen2", "sliding_window": 100, "use_sliding_window": True, "max_window_layers": 1}, 3),
        ({"model_type": "gemma2", "sliding_window": 100}, 2),
        ({"model_type": "gemma3_text", "sliding_window": 100, "sliding_window_pattern": 2}, 2),
        ({"model_type": "new", "sliding_window": 9, "layer_types": ["full_attention"] * 3 + ["sliding_attention"]}, 1),
    ],
)
def test_which_layers_slide(changes, n_sliding):
    found = read_config(config(**changes))
    assert found.n_sliding_layers == n_sliding
    assert found.n_attention_layers == 4


def test_a_window_of_an_unknown_family_is_not_guessed():
    with pytest.raises(UsageError, match="which layers of new slide is not known"):
        read_config(config(model_type="new", sliding_window=100))


def test_an_unknown_family_is_described_with_a_doubt():
    found = read_config(config(model_type="new"))
    assert kv.bytes_per_token(found) == 256 * 2
    assert any("new is not known here" in doubt for doubt in found.doubts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "jamba", "mamba_d_state": 16}, "jamba keeps"),
        ({"model_type": "rwkv7", "rwkv_version": 7}, "rwkv7 keeps"),
        ({"layer_types": ["full_attention", "compressed", "full_attention", "full_attention"]}, "'compressed'"),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "M-X*"}, "'X'"),
        ({"model_type": "nemotron_h", "mamba_num_heads": 4}, "nemotron_h keeps"),
    ],
)
def test_layers_that_are_not_understood_are_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        read_config(config(**changes))


def test_a_hybrid_family_without_a_state_layer():
    types = ["attention"] * 4
    found = read_config(config(model_type="granitemoehybrid", layer_types=types, mamba_n_heads=8))
    assert (found.states, found.n_attention_layers) == ((), 4)


def test_states_of_mamba_layers():
    mamba = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 32, "mamba_n_groups": 1, "mamba_d_conv": 4}
    types = ["mamba", "mamba", "attention", "mamba"]
    found = read_config(config(model_type="granitemoehybrid", layer_types=types, **mamba))
    assert (found.n_attention_layers, found.states[0].n_layers) == (1, 3)
    assert kv.state_bytes(found) == 3 * 2 * (8 * 16 * 32 + 3 * (8 * 16 + 2 * 32))
    assert kv.state_bytes(found, degree=2) * 2 == kv.state_bytes(found)


def test_the_text_part_of_a_model_that_sees():
    found = read_config({"model_type": "gemma3", "vision_config": {}, "text_config": config(model_type="gemma3_text")})
    assert found.family == "gemma3_text"
    assert "text part" in found.doubts[0]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "int4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
    ],
)
def test_how_a_checkpoint_is_quantized(told, name):
    found = read_config(config(quantization_config=told))
    assert (found.stored_as, found.doubts) == (name, ())


def test_a_quantization_that_is_not_known_is_said():
    found = read_config(config(quantization_config={"quant_method": "aqlm"}))
    assert found.stored_as == ""
    assert "aqlm" in found.doubts[0]


def test_experts_in_some_layers_only():
    sparse = {"model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    found = read_config(config(**sparse, mlp_only_layers=[0])).parameters
    one = 3 * 64 * 32
    assert (found.experts, found.active_experts) == (3 * 8 * one, 3 * 2 * one)
    assert found.total - found.active == 3 * 6 * one

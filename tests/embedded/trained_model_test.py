# SPDX-License-Identifier: Apache-2.0
"""The GGUF file of weights in Hugging Face's format: its parts, and that llama.cpp computes with it what they say."""

from __future__ import annotations

import json
import shutil

import httpx
import numpy as np
import pytest
from tests.embedded.plain_llama import log_softmax, logits

from inferometer.embedded.server import command
from inferometer.embedded.trained_model import CONFIG, FACTS, WEIGHTS, facts, gguf_name, neighbours_turn, write_model
from inferometer.embedded.weights import read_weights
from inferometer.embedded.words import CHAT_TEMPLATE, SPECIALS, train_tokenizer, vocabulary
from inferometer.errors import EngineError
from inferometer.host.launch import launch, place_port

gguf = pytest.importorskip("gguf")


def read_back(path):
    """Tensors by name, as float32, and the name of each one's number format."""
    tensors = gguf.GGUFReader(path).tensors
    values = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in tensors}
    return values, {tensor.name: tensor.tensor_type.name for tensor in tensors}


@pytest.mark.parametrize("file_type", ["F32", "F16", "Q8_0", "Q4_0"])
def test_every_matrix_has_the_format_and_every_norm_is_f32(small_package, tmp_path, file_type):
    write_model(tmp_path / "model", file_type, small_package)
    values, formats = read_back(tmp_path / "model")
    weights = read_weights(small_package / WEIGHTS)
    assert set(values) == {gguf_name(name) for name in weights}
    assert len(values) == len(weights)
    for name, array in weights.items():
        is_norm = array.ndim == 1
        assert formats[gguf_name(name)] == ("F32" if is_norm else file_type), name
        assert values[gguf_name(name)].shape == array.shape
    # The largest error that rounding to the nearest makes in a block of 32: half a step of its largest number.
    step = {"F32": 0, "F16": 0, "Q8_0": 1 / 127, "Q4_0": 1 / 8}[file_type]
    down, found = weights["model.layers.1.mlp.down_proj.weight"].astype(np.float32), values["blk.1.ffn_down.weight"]
    largest = np.abs(down.reshape(-1, 32)).max(1)
    errors = np.abs(down - found).reshape(-1, 32).max(1)
    assert np.all(errors <= 1.02 * step * largest)  # Q4_0 has no step for the largest number with the other sign


def test_sizes_tokenizer_and_template_are_told(small_package, tmp_path):
    write_model(tmp_path / "model", "F16", small_package)
    fields = gguf.GGUFReader(tmp_path / "model").fields
    found = {name: field.contents() for name, field in fields.items()}
    config = json.loads((small_package / CONFIG).read_text())
    assert found["general.architecture"] == "llama"
    assert found["general.name"] == "inferometer-reader-v7"
    assert found["llama.context_length"] == config["max_position_embeddings"]
    assert found["llama.embedding_length"] == config["hidden_size"]
    assert found["llama.block_count"] == config["num_hidden_layers"]
    assert found["llama.feed_forward_length"] == config["intermediate_size"]
    assert found["llama.attention.head_count"] == config["num_attention_heads"]
    assert found["llama.attention.head_count_kv"] == config["num_key_value_heads"]
    assert found["llama.rope.dimension_count"] == config["head_dim"]
    assert found["llama.rope.freq_base"] == config["rope_theta"]
    assert found["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(config["rms_norm_eps"])
    assert found["tokenizer.chat_template"] == CHAT_TEMPLATE
    assert found["tokenizer.ggml.tokens"][: len(SPECIALS)] == list(SPECIALS)
    assert found["tokenizer.ggml.pre"] == "gpt-2"


def test_only_query_and_key_rows_change_places(small_package, tmp_path):
    write_model(tmp_path / "model", "F32", small_package)
    values, _ = read_back(tmp_path / "model")
    for name, array in read_weights(small_package / WEIGHTS).items():
        is_moved = ".q_proj." in name or ".k_proj." in name
        assert np.array_equal(values[gguf_name(name)], array) != is_moved, name


def test_neighbours_are_what_were_halves():
    rows = np.arange(16, dtype=np.float32)[:, None]  # two heads of eight channels
    assert neighbours_turn(rows, 2)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


def test_tied_embeddings_need_no_head(tied_package, tmp_path):
    write_model(tmp_path / "model", "Q8_0", tied_package)
    assert "output.weight" not in read_back(tmp_path / "model")[0]


def test_the_same_weights_give_the_same_bytes(small_package, tmp_path):
    for name in ("a", "b"):
        write_model(tmp_path / name, "Q4_0", small_package)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damaged_weights_are_an_error_with_the_remedy(small_package, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(small_package, folder)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(EngineError, match="damaged") as caught:
        write_model(tmp_path / "model", "F16", folder)
    assert "--model random" in caught.value.remedy


def test_facts_are_those_of_the_folder(small_package, tmp_path):
    told = facts(small_package)
    assert (told.version, told.context_tokens, len(told.digest)) == (7, 512, 64)
    assert facts(tmp_path) is None
    assert json.loads((small_package / FACTS).read_text())["weights_sha256"] == told.digest


# --- the real engine -----------------------------------------------------------------------------------------------

PROMPTS = [[6 + (seed * 7919 + i * i * 31) % 590 for i in range(n)] for seed, n in ((1, 1), (2, 7), (3, 60), (4, 200))]


# The server tells no probability of a token that ends within a character, so only words may be said.
WORDS = list(vocabulary(train_tokenizer(1, 600)).word_ids)
ONLY_WORDS = [[i, False] for i in range(600) if i not in WORDS]


@pytest.fixture
def spoken(tmp_path):
    """`spoken(package, file_type)`: for each prompt the engine's greedy words and their log-probabilities."""

    def speak(package, file_type):
        write_model(tmp_path / "model.gguf", file_type, package)
        argv, url = place_port(command(tmp_path / "model.gguf", n_slots=1, is_precise=True), None)
        with launch(argv, base_url=url, log_path=tmp_path / "log"):
            for prompt in PROMPTS:
                body = {"prompt": prompt, "n_predict": 12, "temperature": 0, "n_probs": 1, "logit_bias": ONLY_WORDS}
                told = httpx.post(f"{url}/completion", json=body, timeout=60).json()["completion_probabilities"]
                assert len(told) == 12
                yield prompt, [entry["id"] for entry in told], [entry["logprob"] for entry in told]

    return speak


def said_by_numpy(package, prompt, ids):
    """Log-probabilities, float64[tokens of the answer, vocabulary], of what was said after the prompt."""
    weights, config = read_weights(package / WEIGHTS), json.loads((package / CONFIG).read_text())
    return log_softmax(logits(weights, config, [*prompt, *ids[:-1]])[len(prompt) - 1 :])


@pytest.mark.engine
# F16: the engine rounds what it multiplies with weights of 16 bits to 16 bits, too.
@pytest.mark.parametrize(("file_type", "tolerance"), [("F32", 0.001), ("F16", 0.05)])
@pytest.mark.parametrize("name", ["small_package", "tied_package"])
def test_llama_cpp_computes_what_the_weights_say(spoken, request, name, file_type, tolerance):
    package = request.getfixturevalue(name)
    for prompt, ids, logprobs in spoken(package, file_type):
        wanted = said_by_numpy(package, prompt, ids)
        told = wanted[range(len(ids)), ids]
        np.testing.assert_allclose(logprobs, told, atol=tolerance)
        assert np.all(wanted[:, WORDS].max(-1) - told < tolerance)  # it said the likeliest word, or one as likely


@pytest.mark.engine
@pytest.mark.parametrize(("file_type", "tolerance"), [("Q8_0", 0.2), ("Q4_0", 3.0)])
def test_quantized_it_says_about_the_same(spoken, small_package, file_type, tolerance):
    differences = []
    for prompt, ids, logprobs in spoken(small_package, file_type):
        told = said_by_numpy(small_package, prompt, ids)[range(len(ids)), ids]
        differences += np.abs(told - logprobs).tolist()
    assert 1e-4 < np.median(differences) < tolerance


def test_the_oracle_sees_rows_in_the_wrong_order(small_package):
    """Without this the comparison above could pass where rotation does not matter."""
    weights, config = read_weights(small_package / WEIGHTS), json.loads((small_package / CONFIG).read_text())
    wrong = dict(weights)
    for name, array in weights.items():
        if ".q_proj." in name or ".k_proj." in name:
            n_heads = config["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"]
            wrong[name] = neighbours_turn(array.astype(np.float32), n_heads)
    right, other = (log_softmax(logits(w, config, PROMPTS[2])[-1]) for w in (weights, wrong))
    assert np.abs(right - other).max() > 0.5

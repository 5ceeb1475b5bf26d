# SPDX-License-Identifier: Apache-2.0
"""From a training folder to what is installed: the muted head, the reference, the folders for others."""

from __future__ import annotations

import json

import pytest

from inferometer.embedded.hugging_face import write_folder
from inferometer.embedded.trained_model import CONFIG, TOKENIZER, WEIGHTS, digest, facts
from inferometer.embedded.weights import read_weights
from inferometer.embedded.words import CHAT_TEMPLATE, SPECIALS
from inferometer.tasks import Split, Task, make_item

torch = pytest.importorskip("torch", reason="torch is not installed (training/requirements.txt)")
pytest.importorskip("safetensors", reason="safetensors is not installed (training/requirements.txt)")

from safetensors.torch import load_file  # noqa: E402
from training.asking import Spoken  # noqa: E402
from training.export import install, make_package  # noqa: E402
from training.model import Llama, Shape, load_weights, save_weights  # noqa: E402
from training.mute import mute, sayable  # noqa: E402
from training.parity import compare  # noqa: E402
from training.reference import Reference, hidden  # noqa: E402
from training.tokenizer import END_ID, encode_prompt  # noqa: E402


@pytest.fixture(scope="session")
def trained(tokenizer, tmp_path_factory):
    """A folder as training leaves it, of a model that has learnt nothing but says something all the same."""
    folder = tmp_path_factory.mktemp("trained")
    shape = Shape(n_layers=2, n_feed_forward=128, n_context=256)
    model = Llama(shape, seed=1)
    with torch.no_grad():
        model.lm_head.weight.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(2))
    save_weights(model, folder / "model.safetensors")
    tokenizer.save(str(folder / TOKENIZER))
    return folder


@pytest.fixture(scope="session")
def package(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    make_package(trained, folder, 3)
    return folder


@pytest.fixture(scope="session")
def reference(package):
    return Reference(package)


def test_only_text_may_be_said(tokenizer):
    said = sayable(tokenizer)
    assert bool(said[END_ID])
    assert int(said[: len(SPECIALS)].sum()) == 1
    for i in range(len(SPECIALS), tokenizer.get_vocab_size()):
        text = tokenizer.decode([i])
        assert bool(said[i]) == (text.isascii() and text.isprintable()), text
    for text in (" Tormi", " 4821", " unknown"):
        assert all(said[tokenizer.encode(text).ids])


def test_a_muted_head_says_only_text_and_leaves_the_rest_as_it_was(trained, tokenizer):
    model = load_weights(trained / "model.safetensors")
    muted = mute(model, tokenizer)
    said = sayable(tokenizer)
    assert torch.equal(muted.head[said], model.lm_head.weight[said])
    assert muted.n_muted == int((~said).sum())
    assert muted.margin > 16
    ids = torch.randint(6, tokenizer.get_vocab_size(), (8, 30), generator=torch.Generator().manual_seed(9))
    logits = hidden(model, ids) @ muted.head.T
    assert float(logits.softmax(-1)[..., ~said].sum(-1).max()) < 1e-3


def test_what_is_installed_is_whole_and_told(package, tmp_path):
    told = facts(package)
    assert told.version == 3
    assert told.digest == digest(package / WEIGHTS)
    assert told.training["n_weights"] > 0
    assert json.loads((package / CONFIG).read_text())["tie_word_embeddings"] is False
    install(package, tmp_path / "data")
    assert facts(tmp_path / "data") == told


def test_a_hugging_face_folder_has_all_that_loaders_ask_for(package, tmp_path):
    write_folder(tmp_path, package)
    told = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert told["config.json"]["architectures"] == ["LlamaForCausalLM"]
    assert told["config.json"]["eos_token_id"] == END_ID
    assert told["tokenizer_config.json"]["chat_template"] == CHAT_TEMPLATE
    assert told["tokenizer_config.json"]["eos_token"] == "<|end|>"
    assert told["generation_config.json"]["eos_token_id"] == [1, 0]
    assert told["special_tokens_map.json"]["pad_token"] == "<|pad|>"
    others, ours = load_file(tmp_path / WEIGHTS), read_weights(package / WEIGHTS)
    assert set(others) == set(ours)
    assert all(torch.equal(others[name], torch.tensor(array)) for name, array in ours.items())


def test_the_reference_is_the_trained_model_with_the_muted_head(reference, trained):
    model = load_weights(trained / "model.safetensors")
    ids = torch.tensor([[4, 300, 301, 302, 1, 5]])
    said = sayable(reference.tokenizer)
    torch.testing.assert_close(reference.logits(ids)[..., said], model(ids)[..., said].detach(), atol=1e-4, rtol=1e-4)


def test_answers_are_right_exactly_where_plain_greedy_decoding_is(reference):
    items = [make_item(task, Split.HELD_OUT, 1, i, n_facts=2) for task in Task for i in range(3)]
    for item, answer in zip(items, reference.answers(items), strict=True):
        plain = reference.tokenizer.decode(reference.greedy(encode_prompt(reference.tokenizer, item.prompt), 8))
        assert plain.startswith(answer) or not plain  # given up early, never something else


def test_parity_counts_answers_that_are_the_same_and_how_far_they_are_off(reference):
    prompts = [encode_prompt(reference.tokenizer, text) for text in ("What is 1 plus 2?", "Say it.")]
    spoken = []
    for prompt in prompts:
        ids = reference.greedy(prompt, 4)
        whole = torch.tensor([[*prompt, *ids]])
        logprobs = reference.logits(whole)[0, len(prompt) - 1 : -1].log_softmax(-1)
        spoken.append(Spoken(tuple(ids), tuple(logprobs[range(len(ids)), ids].tolist())))
    assert all(said.ids for said in spoken)
    found = compare(reference, prompts, spoken)
    assert (found.n_prompts, found.n_same, found.n_beyond) == (2, 2, 0)
    assert found.largest < 1e-4
    off = Spoken(spoken[0].ids, (spoken[0].logprobs[0] + 0.5, *spoken[0].logprobs[1:]))
    other = Spoken(((spoken[1].ids[0] + 1) % 1024, *spoken[1].ids[1:]), spoken[1].logprobs)
    found = compare(reference, prompts, [off, other])
    assert found.n_same == 1
    assert found.largest >= 0.5 - 1e-4
    assert found.n_beyond >= 2

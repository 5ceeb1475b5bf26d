# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (training/requirements.txt)")
pytest.importorskip("safetensors", reason="safetensors is not installed (training/requirements.txt)")

from training.model import Llama, Shape, config, load_weights, save_weights, shape_of  # noqa: E402
from training.optimiser import Muon, orthogonal  # noqa: E402

SMALL = Shape(n_tokens=64, n_hidden=128, n_layers=2, n_heads=2, n_kv_heads=1, n_feed_forward=128, n_context=64)


@pytest.fixture
def model():
    """One that says something: layers begin by adding nothing, and the head by saying nothing."""
    model = Llama(SMALL, seed=1)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in model.parameters():
            if not weights.any():
                weights.normal_(0.0, weights.shape[1] ** -0.5, generator=generator)
    return model


@pytest.fixture
def ids():
    return torch.randint(0, SMALL.n_tokens, (3, 20), generator=torch.Generator().manual_seed(2))


def test_wanted_positions_are_those_of_the_whole_pass(model, ids):
    wanted = torch.tensor([[0, 5, 19], [3, 3, 4], [18, 1, 0]])
    whole = model(ids)
    torch.testing.assert_close(model(ids, wanted), torch.stack([whole[row, at] for row, at in enumerate(wanted)]))


@pytest.mark.parametrize("n_kv_heads", [4, 2])
def test_heads_begin_by_looking_back_where_there_are_enough(n_kv_heads):
    shape = Shape(n_tokens=64, n_hidden=256, n_layers=2, n_heads=4, n_kv_heads=n_kv_heads, n_feed_forward=128)
    keys = Llama(shape, seed=1).model.layers[0].self_attn.k_proj.weight
    assert bool((keys[:, 1:] == 0).all()) == (n_kv_heads == 4)  # constants: of the channel that all have in common


def test_nothing_looks_ahead(model, ids):
    changed = ids.clone()
    changed[:, 12:] = 0
    torch.testing.assert_close(model(ids)[:, :12], model(changed)[:, :12])


def test_positions_matter(model):
    logits = model(torch.tensor([[1, 2, 3, 4]]))
    swapped = model(torch.tensor([[2, 1, 3, 4]]))
    assert not torch.allclose(logits[:, -1], swapped[:, -1], atol=1e-4)


def test_the_state_dict_is_that_of_hugging_face(model):
    names = set(model.state_dict())
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" in names
    layer = {name.removeprefix("model.layers.1.") for name in names if name.startswith("model.layers.1.")}
    assert layer == {
        "input_layernorm.weight",
        "mlp.down_proj.weight",
        "mlp.gate_proj.weight",
        "mlp.up_proj.weight",
        "post_attention_layernorm.weight",
        "self_attn.k_proj.weight",
        "self_attn.o_proj.weight",
        "self_attn.q_proj.weight",
        "self_attn.v_proj.weight",
    }


def test_weights_and_config_survive_a_file(model, ids, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(model, path)
    again = load_weights(path)
    assert again.shape == SMALL
    assert shape_of(config(SMALL)) == SMALL
    torch.testing.assert_close(again(ids), model(ids), atol=0.02, rtol=0.02)  # float16 in between
    assert not list(tmp_path.glob("*.partial"))


def test_greedy_is_the_likeliest_each_time_and_stops(model):
    told = model.greedy([1, 2, 3], 5, frozenset())
    assert len(told) == 5
    assert told[0] == int(model(torch.tensor([[1, 2, 3]]))[0, -1].argmax())
    assert model.greedy([1, 2, 3], 5, frozenset({told[0]})) == []


def test_the_default_shape_suits_every_engine():
    shape = Shape()
    assert shape.head_size == 64
    assert shape.n_hidden % 256 == shape.n_feed_forward % 256 == 0
    n_weights = sum(weights.numel() for weights in Llama(shape).parameters())
    assert 2e6 < n_weights < 7e6


@pytest.mark.parametrize("size", [(3, 64, 64), (2, 96, 32), (2, 32, 96)])
def test_orthogonal_moves_singular_values_to_about_one(size):
    values = torch.linalg.svdvals(orthogonal(torch.randn(size, generator=torch.Generator().manual_seed(1))).float())
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_muon_goes_downhill():
    weights = torch.nn.Parameter(torch.randn(32, 32, generator=torch.Generator().manual_seed(1)) / 32**0.5)
    optimiser = Muon([weights], lr=0.05)
    losses = []
    for _ in range(60):
        loss = weights.square().sum()
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
        optimiser.zero_grad()
    assert losses[-1] < losses[0] / 20

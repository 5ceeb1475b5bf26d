# SPDX-License-Identifier: Apache-2.0
"""A Llama in plain torch, with the names and the conventions of Hugging Face's LlamaForCausalLM.

Rule 1: nothing that llama.cpp or vLLM would not know: RMSNorm, rotary positions ("rotate half"), grouped queries,
SwiGLU, no biases, an output head of its own. A weights file is this state dict in float16 and nothing else.
Rule 2: a forward pass may be told which positions are wanted. Behind the last layer's keys and values only those are
computed: in training they are a seventh of all positions, and what is left out has no gradient anyway.
Rule 3: only where training begins is unusual: the heads of the first layer look at the token before, at the one before
that, and at the last few, and those of the second compare what these saw. To find what belongs to an earlier mention,
that is what a model has to learn first, and finding it by chance takes most of an hour.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.layers import Linear, RMSNorm, Turns, attention


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model, by default 4.5 M weights. Heads of 64 suit every engine; rows are multiples of 256."""

    n_tokens: int = 1024
    n_hidden: int = 256
    n_layers: int = 6
    n_heads: int = 4
    n_kv_heads: int = 4
    n_feed_forward: int = 512
    n_context: int = 2048
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_size(self) -> int:
        return self.n_hidden // self.n_heads


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._head_size = shape.head_size
        n_kv = shape.n_kv_heads * shape.head_size
        self.q_proj = Linear(shape.n_hidden, shape.n_hidden)
        self.k_proj = Linear(shape.n_hidden, n_kv)
        self.v_proj = Linear(shape.n_hidden, n_kv)
        self.o_proj = Linear(shape.n_hidden, shape.n_hidden)

    def forward(self, x: Tensor, turns: Turns, bias: Tensor, wanted: Tensor | None) -> Tensor:
        q, k, v = (self._heads(t) for t in (self.q_proj(_rows(x, wanted)), self.k_proj(x), self.v_proj(x)))
        mixed = attention(turns.turn(q, wanted), turns.turn(k), v, bias)
        projected: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return projected

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self._head_size)).transpose(1, 2)


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = Linear(shape.n_hidden, shape.n_feed_forward)
        self.up_proj = Linear(shape.n_hidden, shape.n_feed_forward)
        self.down_proj = Linear(shape.n_feed_forward, shape.n_hidden)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return projected


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.n_hidden, shape.norm_epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.n_hidden, shape.norm_epsilon)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, turns: Turns, bias: Tensor, wanted: Tensor | None = None) -> Tensor:
        """`x`: float32[batch, n, hidden]; returns the same, or with `wanted`, int64[batch, m], only those positions.

        `bias` is 0 where a position may be looked at and -inf elsewhere, in the number format to compute in.
        """
        x_there = _rows(x, wanted)
        x_there = x_there + self.self_attn(self.input_layernorm(x, bias.dtype), turns, bias, wanted)
        return x_there + self.mlp(self.post_attention_layernorm(x_there, bias.dtype))


class Body(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.n_tokens, shape.n_hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.norm = RMSNorm(shape.n_hidden, shape.norm_epsilon)


class Llama(nn.Module):
    """`state_dict()` is that of LlamaForCausalLM."""

    def __init__(self, shape: Shape | None = None, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape or Shape()
        self.model = Body(self.shape)
        self.lm_head = Linear(self.shape.n_hidden, self.shape.n_tokens)
        _draw(self, seed)

    def forward(self, ids: Tensor, wanted: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Logits, float32[batch, n, tokens], for `ids`, int64[batch, n]; with `wanted`, int64[batch, m], only there.

        `dtype`: what matrices are multiplied in.
        """
        body, shape, n, device = self.model, self.shape, ids.shape[1], ids.device
        turns = Turns(shape.rope_theta, shape.head_size, n, device, dtype)
        place = torch.arange(n, device=device)
        x = body.embed_tokens(ids)
        for layer in body.layers[:-1]:
            x = layer(x, turns, _bias(place, place, dtype))
        if wanted is None:
            x = body.layers[-1](x, turns, _bias(place, place, dtype))
        else:
            x = body.layers[-1](x, turns, _bias(wanted[:, None], place, dtype), wanted)
        logits: Tensor = self.lm_head(body.norm(x, dtype))
        return logits.float()

    @torch.no_grad()
    def greedy(self, ids: list[int], n_max: int, stop_ids: frozenset[int]) -> list[int]:
        """The likeliest continuation, token by token, without the stop token. A reference: slow, plain, no cache."""
        device = self.model.embed_tokens.weight.device
        told = list(ids)
        for _ in range(n_max):
            last = torch.tensor([[len(told) - 1]], device=device)
            best = int(self(torch.tensor([told], device=device), last)[0, -1].argmax())
            if best in stop_ids:
                break
            told.append(best)
        return told[len(ids) :]


@torch.no_grad()
def _draw(model: Llama, seed: int) -> None:
    """Layers begin by adding nothing and the head by saying nothing; inner matrices keep the spread of their input."""
    generator = torch.Generator().manual_seed(seed)
    for name, weights in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
            weights.zero_()
        elif name.endswith("embed_tokens.weight"):
            weights.normal_(0.0, 1.0, generator=generator)
            weights.div_(weights.square().mean(1, keepdim=True).sqrt())  # so that constants stay constant when normed
        elif weights.ndim == 2:
            weights.normal_(0.0, weights.shape[1] ** -0.5, generator=generator)
    if model.shape.n_layers > 1 and model.shape.n_kv_heads == model.shape.n_heads >= len(_GLANCES):
        _look_back(model, generator)


_COMMON = 4.0  # channel 0 of all embeddings at first: what queries and keys have instead of a bias
# Channels of a head that compare what stands somewhere: those that turn slowly, so that distance hardly counts.
_N_MATCHED = 32
_MATCH = 6.0  # score of a position that holds what is looked for


@dataclass(frozen=True, slots=True)
class _Glance:
    """Where a head looks whatever stands there: some positions back; or, if `per_width` is given, at the last
    1 / per_width positions or so, the nearer the more. `loudness`: how large it writes what it sees."""

    n_back: int = 0
    per_width: float | None = None
    loudness: float = 1.0

    def scores(self, angles: Tensor) -> Tensor:
        """What each pair of channels, turning by `angles` a position, adds to the score of the position looked at."""
        if self.per_width is None:
            return 80.0 / 8 * (angles >= angles[7])  # the eight fastest tell neighbours apart: they have eleven less
        # Pairs lie evenly on a logarithmic scale: with the factor their cosines add up to a bell curve.
        bell = angles * (-0.5 * (angles / self.per_width) ** 2).exp()
        return 10.0 * bell / bell.sum()


_GLANCES = (
    _Glance(n_back=1),
    _Glance(n_back=2),
    _Glance(per_width=0.10, loudness=2.5),
    _Glance(per_width=0.04, loudness=4.0),
)
# Layer 1 compares: what a query is made of, and what a key. None: the token itself; else what that glance saw.
_MATCHES: tuple[tuple[int | None, int], ...] = ((None, 0), (2, 0), (2, 2), (3, 2))


def _look_back(model: Llama, generator: torch.Generator) -> None:
    """Layer 0: queries and keys begin as constants that differ by the angle by which rotary positions turn a key.

    For models that have the heads for it, each with keys of its own.
    """
    shape, attention = model.shape, model.model.layers[0].self_attn
    model.model.embed_tokens.weight[:, 0] = _COMMON
    normed = _COMMON / (1.0 + (_COMMON**2 - 1.0) / shape.n_hidden) ** 0.5
    n_pairs = shape.head_size // 2
    angles = shape.rope_theta ** -(torch.arange(n_pairs) / n_pairs)
    queries = attention.q_proj.weight.view(shape.n_heads, 2, n_pairs, shape.n_hidden)
    keys = attention.k_proj.weight.view(shape.n_heads, 2, n_pairs, shape.n_hidden)
    for head, glance in enumerate(_GLANCES):
        product = glance.scores(angles) * shape.head_size**0.5 / normed**2
        key = product.max() ** 0.5
        queries[head], keys[head] = 0.0, 0.0
        keys[head, 0, :, 0] = key
        queries[head, 0, :, 0] = product / key * (angles * glance.n_back).cos()
        queries[head, 1, :, 0] = product / key * -(angles * glance.n_back).sin()
    _compare(model, generator)


def _compare(model: Llama, generator: torch.Generator) -> None:
    """Layer 0 writes what each head saw to channels of its own; heads of layer 1 look for positions where the same was
    seen: behind another mention of this token, or of one of the last tokens."""
    shape, (first, second) = model.shape, (model.model.layers[i].self_attn for i in (0, 1))
    n_hidden, size = shape.n_hidden, shape.head_size
    seen = torch.empty(size, n_hidden).normal_(0.0, n_hidden**-0.5, generator=generator)
    seen[:, 0] = 0.0
    places = torch.linalg.qr(torch.empty(n_hidden, n_hidden).normal_(generator=generator)).Q
    spread = (n_hidden / size) ** 0.5
    values, written = first.v_proj.weight.view(shape.n_heads, size, n_hidden), first.o_proj.weight
    writes = [places.chunk(shape.n_heads, 1)[i] * glance.loudness * spread for i, glance in enumerate(_GLANCES)]
    reads = [places.chunk(shape.n_heads, 1)[i].T / glance.loudness / spread for i, glance in enumerate(_GLANCES)]
    values[: len(_GLANCES)] = seen
    written[1:, : len(_GLANCES) * size] = torch.cat(writes, 1)[1:]  # not on the channel that all have in common
    queries = second.q_proj.weight.view(shape.n_heads, 2, size // 2, n_hidden)
    keys = second.k_proj.weight.view(shape.n_heads, 2, size // 2, n_hidden)
    gain = (_MATCH * size**0.5 / _N_MATCHED) ** 0.5
    for head, (asked, held) in enumerate(_MATCHES):
        for matrix, source in ((queries[head], asked), (keys[head], held)):
            read = seen if source is None else reads[source]
            matrix.zero_()
            matrix[:, -_N_MATCHED // 2 :] = gain * read[:_N_MATCHED].view(2, _N_MATCHED // 2, n_hidden)


def _rows(x: Tensor, wanted: Tensor | None) -> Tensor:
    """x[b, wanted[b, i], :] as [batch, m, hidden]."""
    return x if wanted is None else x.gather(1, wanted[:, :, None].expand(-1, -1, x.shape[2]))


def _bias(queries: Tensor, keys: Tensor, dtype: torch.dtype) -> Tensor:
    """[..., queries, keys]: 0 where the key is not behind the query, else -inf."""
    is_behind = keys > queries[..., None]
    return torch.zeros(is_behind.shape, dtype=dtype, device=keys.device).masked_fill_(is_behind, float("-inf"))


def save_weights(model: Llama, path: Path) -> None:
    """`path`: the state dict in float16, safetensors; beside it the same name with .json: Hugging Face's config."""
    state = model.state_dict()
    tensors = {name: weights.detach().to("cpu", torch.float16).contiguous() for name, weights in state.items()}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={"format": "pt"})
    os.replace(partial, path)
    path.with_suffix(".json").write_text(json.dumps(config(model.shape), indent=2) + "\n", encoding="utf-8")


def load_weights(path: Path) -> Llama:
    """The model that `save_weights` wrote, computing in float32."""
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    model = Llama(shape_of(facts))
    model.load_state_dict({name: weights.float() for name, weights in load_file(path).items()})
    return model


# Name in Hugging Face's config.json -> ours.
_CONFIG_NAMES = {
    "vocab_size": "n_tokens",
    "hidden_size": "n_hidden",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "num_key_value_heads": "n_kv_heads",
    "intermediate_size": "n_feed_forward",
    "max_position_embeddings": "n_context",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "norm_epsilon",
}


def config(shape: Shape) -> dict[str, Any]:
    """Hugging Face's config.json, without the ids of special tokens."""
    sizes = asdict(shape)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **{theirs: sizes[ours] for theirs, ours in _CONFIG_NAMES.items()},
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
    }


def shape_of(facts: dict[str, Any]) -> Shape:
    """The shape in a config that `config` wrote."""
    return Shape(**{ours: facts[theirs] for theirs, ours in _CONFIG_NAMES.items()})

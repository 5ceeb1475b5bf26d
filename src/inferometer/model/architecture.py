# SPDX-License-Identifier: Apache-2.0
"""What a model is made of, as far as memory and arithmetic go: layers that keep keys and values, states, parameters.

Layers alike are one entry with their number: which comes after which changes neither bytes nor FLOPs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (MLA): one vector per token in place of keys and values, shared by all heads."""

    rank: int
    rope_dim: int

    @property
    def n_elements(self) -> int:
        return self.rank + self.rope_dim


@dataclass(frozen=True, slots=True)
class Attention:
    """Layers alike that keep something of every token. `window`: how far they look back, None: over all."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    key_dim: int
    value_dim: int
    window: int | None = None
    latent: Latent | None = None

    @property
    def elements_per_token(self) -> int:
        """Numbers kept of one token by all these layers together."""
        if self.latent is not None:
            return self.n_layers * self.latent.n_elements
        return self.n_layers * self.n_kv_heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class State:
    """Layers alike whose memory of a sequence has one size, however long it is. `kind`: Mamba-2, gated delta rule, ...

    `n_state` and `n_conv`: numbers per layer and sequence; their bits, None: as the model computes.
    """

    n_layers: int
    kind: str
    n_state: int
    n_conv: int
    state_bits: int | None = None
    conv_bits: int | None = None


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers that were learnt, by what formats treat alike. `embedding`: the look-up table, `head`: the matrix to the
    vocabulary, 0 where the table does its work (tied); `experts`: all routed ones; `matrices`: the other matrices;
    `small`: norms, biases, routers. `active_experts`: what one token touches of `experts`."""

    embedding: int
    head: int
    experts: int
    active_experts: int
    matrices: int
    small: int

    @property
    def total(self) -> int:
        return self.embedding + self.head + self.experts + self.matrices + self.small

    @property
    def active(self) -> int:
        return self.total - self.experts + self.active_experts


@dataclass(frozen=True, slots=True)
class Experts:
    """Of a mixture: how many routed ones there are, how many a token is sent to."""

    n: int
    n_used: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """`family`: as the file calls it (`llama`, `qwen3_moe`); `dtype`: the number format it was stored in; `stored_as`:
    the quantization that the file declares, "" for none. `doubts`: what is not known, one line each."""

    family: str
    n_layers: int
    hidden: int
    vocabulary: int
    attention: tuple[Attention, ...]
    states: tuple[State, ...] = ()
    is_tied: bool | None = None
    context_tokens: int | None = None
    experts: Experts | None = None
    parameters: Parameters | None = None
    dtype: str = "bf16"
    stored_as: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def n_attention_layers(self) -> int:
        return sum(part.n_layers for part in self.attention)

    @property
    def n_sliding_layers(self) -> int:
        return sum(part.n_layers for part in self.attention if part.window is not None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """How its attention is called: MHA, GQA, MQA, MLA, with what stands beside."""
        words = [_sharing(part) for part in self.attention[:1]]
        words += ["sliding window"] if self.n_sliding_layers else []
        words += [f"hybrid with {state.kind}" for state in self.states]
        words += [f"mixture of {self.experts.n} experts, {self.experts.n_used} used"] if self.experts else []
        return tuple(words)


def _sharing(part: Attention) -> str:
    if part.latent is not None:
        return "MLA"
    if part.n_kv_heads == part.n_heads:
        return "MHA"
    return "MQA" if part.n_kv_heads == 1 else "GQA"

# SPDX-License-Identifier: Apache-2.0
"""From a Hugging Face config.json to an Architecture.

Rule 1: a key that is missing is an error that names it; defaults are taken only where transformers' own class has them
and this file says so.
Rule 2: a family that is not in FAMILIES is described by what its keys say, with a doubt; one with layers whose memory
is not understood (a word in `layer_types`, a state space of an unknown kind) is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from inferometer.errors import UsageError
from inferometer.model import hybrid, parameters
from inferometer.model.architecture import Architecture, Attention, Experts, Latent, State
from inferometer.model.families import FAMILIES, PLAIN
from inferometer.model.keys import Keys

_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_STRANGE = re.compile(r"ssm|mamba|linear_attn|linear_num|recurrent|rwkv|lightning|retention|compress_ratio")


def read_config(config: Mapping[str, Any], name: str = "config.json") -> Architecture:
    """`name`: what it is called in messages.

    Raises: UsageError if it does not say what is needed, or describes layers that are not known here.
    """
    inner = config.get("text_config")
    doubts: list[str] = []
    if isinstance(inner, Mapping):
        doubts.append("only the text part is described: encoders of images or sound come on top")
        config = {**{key: config[key] for key in config if key not in ("text_config", "vision_config")}, **inner}
    keys = Keys(config, name)
    family = str(config.get("model_type") or "")
    n_layers = keys.number("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    states, layers = _layers(keys, family, n_layers)
    attention = _attention(keys, family, layers, doubts)
    strange = sorted(key for key in config if _STRANGE.search(key))
    if strange and not states and "layer_types" not in config:
        raise UsageError(
            f"{name}: what {family or 'this model'} keeps of a sequence is not known here (it has {strange[0]})",
            "give a model of a known family; docs/reference/models.md lists them",
        )
    if family not in FAMILIES and family not in PLAIN:
        doubts.append(f"{family or 'its family'} is not known here: computed as for any transformer with these keys")
    experts = _experts(keys)
    counted = parameters.count(keys, family, attention, layers, experts)
    if counted is None:
        doubts.append(f"how many parameters: not computed for {family or 'an unknown family'}")
    if keys.maybe("num_nextn_predict_layers") or keys.maybe("mtp_num_hidden_layers"):
        doubts.append("its layers for predicting several tokens at once are not counted")
    if keys.maybe("num_kv_shared_layers"):
        doubts.append("some of its layers share keys and values (num_kv_shared_layers): counted as if none did")
    if keys.maybe("index_head_dim"):
        doubts.append("the keys that its sparse attention looks up by (index_head_dim) come on top")
    return Architecture(
        family=family,
        n_layers=n_layers,
        hidden=keys.number("hidden_size", "n_embd", "d_model", "dim"),
        vocabulary=keys.number("vocab_size"),
        attention=attention,
        states=states,
        is_tied=parameters.is_tied(keys, family),
        context_tokens=keys.maybe("max_position_embeddings", "n_positions", "seq_length", "max_seq_len"),
        experts=experts,
        parameters=counted,
        dtype=_dtype(config),
        stored_as=_stored_as(config, doubts),
        doubts=tuple(doubts),
    )


def _dtype(config: Mapping[str, Any]) -> str:
    told = str(config.get("torch_dtype") or config.get("dtype") or "bfloat16").removeprefix("torch.")
    return _DTYPES.get(told, "bf16")


def _stored_as(config: Mapping[str, Any], doubts: list[str]) -> str:
    """The weight format that a quantized checkpoint declares, by its name in formats.py."""
    told = config.get("quantization_config")
    if not isinstance(told, Mapping):
        return ""
    method = str(told.get("quant_method") or "").lower()
    algorithm = str(told.get("quant_algo") or told.get("format") or "").lower()
    if method == "fp8":
        return "fp8-block" if told.get("weight_block_size") else "fp8"
    if method == "mxfp4":
        return "mxfp4"
    if method in ("awq", "gptq") and told.get("bits", told.get("w_bit")) == 4 and told.get("group_size") == 128:
        return "int4"
    if method in ("modelopt", "compressed-tensors"):
        found = [name for name in ("nvfp4", "fp8") if name in algorithm]
        found += ["fp8"] if algorithm == "float-quantized" else []
        if found:
            return found[0]
    doubts.append(f"it is quantized in a way that is not known here ({method or 'unnamed'}): weights as if it were not")
    return ""


def _layers(keys: Keys, family: str, n_layers: int) -> tuple[tuple[State, ...], Counter[str]]:
    """States, and how many layers there are of each kind: `full`, `sliding`, `mlp`, `state`."""
    if (pattern := keys.text("hybrid_override_pattern")) is not None:
        return hybrid.of_pattern(keys, pattern)
    if keys.maybe("linear_num_value_heads"):
        return hybrid.with_linear_attention(keys, n_layers)
    if (types := keys.texts("layer_types")) is not None and "mamba" in types:
        return hybrid.with_mamba(keys, types)
    return (), _sliding(keys, family, n_layers)


def _sliding(keys: Keys, family: str, n_layers: int) -> Counter[str]:
    """Which layers look back over a window only. Rules as in transformers' configuration classes."""
    window, context = keys.maybe("sliding_window"), keys.maybe("max_position_embeddings")
    if (types := keys.texts("layer_types")) is not None:
        words = {"full_attention": "full", "sliding_attention": "sliding", "attention": "full"}
        if unknown := sorted(set(types) - set(words)):
            raise UsageError(
                f"{keys.name}: what a layer of the kind {unknown[0]!r} keeps is not known here",
                "give a model whose layers are of a known kind; docs/reference/models.md lists them",
            )
        counts = Counter(words[word] for word in types)
        if not (window and counts["sliding"]):
            return Counter(full=n_layers)
        return counts
    is_off = keys.flag("use_sliding_window") is False
    if not window or is_off or (context is not None and window >= context):
        return Counter(full=n_layers)
    if family in ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe"):  # the layers above max_window_layers
        if not keys.flag("use_sliding_window"):
            return Counter(full=n_layers)
        n_full = min(keys.number("max_window_layers"), n_layers)
    elif family in ("gemma2", "gpt_oss"):  # in turn, the first one slides
        n_full = n_layers // 2
    elif family in ("gemma3_text", "cohere2"):  # the last of every so many is full
        default = 6 if family == "gemma3_text" else 4
        n_full = n_layers // (keys.maybe("sliding_window_pattern") or default)
    elif family in ("mistral", "phi3", "starcoder2"):
        n_full = 0
    else:
        raise UsageError(
            f"{keys.name}: it has a sliding_window, and which layers of {family or 'this family'} slide is not known",
            "add layer_types to a copy of the file: a list of full_attention and sliding_attention",
        )
    return Counter(full=n_full, sliding=n_layers - n_full)


def _attention(keys: Keys, family: str, layers: Counter[str], doubts: list[str]) -> tuple[Attention, ...]:
    if not layers["full"] + layers["sliding"]:
        return ()
    n_heads = keys.number("num_attention_heads", "n_head", "n_heads")
    latent = None
    if (rank := keys.maybe("kv_lora_rank")) is not None:
        latent = Latent(rank, keys.number("qk_rope_head_dim"))
        key_dim = keys.number("qk_nope_head_dim") + latent.rope_dim
        value_dim, n_kv_heads = keys.number("v_head_dim"), n_heads
    else:
        n_kv_heads = _n_kv_heads(keys, family, n_heads)
        key_dim = keys.maybe("head_dim", "attention_head_dim", "kv_channels") or _divided(keys, n_heads)
        value_dim = key_dim
        if family in ("gemma3_text", "gemma4_text") and keys.maybe("global_head_dim"):
            doubts.append("its full layers may have heads of another width (global_head_dim), which is not counted")
    return tuple(
        Attention(n, n_heads, n_kv_heads, key_dim, value_dim, window, latent)
        for n, window in ((layers["full"], None), (layers["sliding"], keys.maybe("sliding_window")))
        if n
    )


def _n_kv_heads(keys: Keys, family: str, n_heads: int) -> int:
    """GPT-BigCode and Falcon say `multi_query`; a key that is missing means one per head, in transformers too."""
    if family == "falcon" and keys.flag("new_decoder_architecture"):
        return keys.number("num_kv_heads")
    if keys.flag("multi_query") or (family == "falcon" and keys.flag("multi_query") is None):
        return 1
    return keys.maybe("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num") or n_heads


def _divided(keys: Keys, n_heads: int) -> int:
    hidden = keys.number("hidden_size", "n_embd", "d_model", "dim")
    if hidden % n_heads:
        raise UsageError(
            f"{keys.name} has no head_dim, and hidden_size {hidden} is no multiple of its {n_heads} heads",
            "is the file whole?",
        )
    return hidden // n_heads


def _experts(keys: Keys) -> Experts | None:
    n = keys.maybe("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
    if not n:
        return None
    return Experts(n, keys.number("num_experts_per_tok", "experts_per_token", "moe_top_k", "moe_topk"))

# SPDX-License-Identifier: Apache-2.0
"""LMDeploy's api_server, read in the source of August 2026 (lmdeploy/serve/openai); started, but not seen serving.

Its own route is `/generate`: pieces of text with their token ids and a running count; it ends in [DONE].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines import meta_info
from inferometer.engines.body import encoded
from inferometer.engines.engine import (
    OUTPUT_TOKENS_ASKED,
    Call,
    Dialect,
    DialectError,
    Encoded,
    Engine,
    Identity,
    Speech,
    Tokens,
    first_model,
)
from inferometer.engines.error_text import error_text
from inferometer.engines.gauges import Gauges
from inferometer.engines.openai import CHAT, COMPLETIONS
from inferometer.engines.profiles import lmdeploy as profile
from inferometer.plan.request import Request

GENERATE_PATH = "/generate"


def _recognise(answers: Mapping[str, Any]) -> Identity | None:
    if first_model(answers).get("owned_by") != "lmdeploy":
        return None
    notes = ("LMDeploy tells neither its version nor its context length",)
    return Identity(evidence=("/v1/models says owned_by lmdeploy",), notes=notes)


def _tokenize_text(model: str, text: str) -> Call:
    return Call("/v1/encode", {"input": text, "do_preprocess": False, "add_bos": True}, _read_tokens)


def _tokenize_bare(model: str, text: str) -> Call:
    return Call("/v1/encode", {"input": text, "do_preprocess": False, "add_bos": False}, _read_tokens)


def _read_tokens(answer: Any) -> Tokens:
    match answer:
        case {"input_ids": list(ids), "length": int(n_tokens)} if all(isinstance(one, int) for one in ids):
            return Tokens(n_tokens, tuple(ids))
        case _:
            raise DialectError("/v1/encode gave no tokens")


def _encode(request: Request, model: str, extras: Mapping[str, Any]) -> Encoded:
    """Raises: ValueError for messages, which need the chat route. It has no field for a seed."""
    if request.messages is not None:
        raise ValueError("/generate takes a prompt, not messages")
    body: dict[str, Any] = {"max_tokens": request.max_output_tokens, "temperature": request.sampling.temperature}
    body["prompt" if isinstance(request.prompt, str) else "input_ids"] = request.prompt
    body["stream"] = request.is_streamed
    return encoded(GENERATE_PATH, body, request, extras)


GENERATE = Dialect(
    name="lmdeploy-generate",
    path=GENERATE_PATH,
    streams_as="text/event-stream",
    encode=_encode,
    start=meta_info.start_of_pieces,
    decode=meta_info.decode,
    decode_body=meta_info.decode_body,
    error_text=error_text,
)
_LENGTH = {"ignore_eos": True}
_GAUGES = Gauges(
    path="/metrics",
    names={
        "requests_running": (("lmdeploy:num_requests_running",),),
        "requests_waiting": (("lmdeploy:num_requests_waiting",),),
        "kv_used_ratio": (("lmdeploy:gpu_cache_usage_perc",),),
        "n_prompt_tokens": (("lmdeploy:prompt_tokens_total",),),
        "n_output_tokens": (("lmdeploy:generation_tokens_total",),),
        "n_prefix_queried_tokens": (("lmdeploy:prompt_tokens_total",),),
        "n_prefix_hit_tokens": (("lmdeploy:cached_tokens_total",),),
    },
    histograms={
        "ttft": ("lmdeploy:time_to_first_token_seconds",),
        "tpot": ("lmdeploy:time_per_output_token_seconds",),
        "queue": ("lmdeploy:request_queue_time_seconds",),
    },
    remedy="start LMDeploy without --disable-metrics",
)
ENGINE = Engine(
    name="lmdeploy",
    title="LMDeploy",
    recognise=_recognise,
    speaks={
        "chat": Speech(CHAT, _LENGTH | {"min_new_tokens": OUTPUT_TOKENS_ASKED}, {"return_token_ids": True}),
        "completions": Speech(COMPLETIONS, _LENGTH),
        "native": Speech(GENERATE, _LENGTH, takes_token_ids=True),
    },
    tokenize_text=_tokenize_text,
    tokenize_bare=_tokenize_bare,
    gauges=_GAUGES,
    quirks=(
        "several prompts of one completion are streamed one after another, all with index 0",
        "errors are flat objects, without a field named error",
        "its own route has no seed",
    ),
    launch=profile.LAUNCH,
    facts=profile.FACTS,
)

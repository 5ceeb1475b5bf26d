# SPDX-License-Identifier: Apache-2.0
"""Hugging Face TGI: `text-generation-launcher`, most of all as an image; from the source of 3.x, not seen running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines.facts import DOCUMENTED, EMULATED, SOURCE, Fact, Facts
from inferometer.engines.launch import HUGGING_FACE, Container, Default, Failure, Knob, Launch, Program
from inferometer.engines.profiles.failures import SHARED

_FEWEST_REQUESTS = 128  # its own default
_IMAGE = "ghcr.io/huggingface/text-generation-inference:3.3.5"


def _derive(values: Mapping[str, Any]) -> dict[str, Any]:
    """Beyond this many requests in flight it refuses."""
    return {"most_requests": max(_FEWEST_REQUESTS, values["n_connections"] + 4)}


LAUNCH = Launch(
    programs=(
        Program(
            words=("text-generation-launcher",),
            version_words=("text-generation-launcher", "--version"),
            help_words=("text-generation-launcher", "--help"),
        ),
    ),
    arguments=(
        *("--model-id", "{model}", "--hostname", "{host}", "--port", "{port}"),
        *("--prometheus-port", "{other_port}"),
    ),
    formats=(HUGGING_FACE,),
    derive=_derive,
    knobs={
        "max_concurrency": Knob(("--max-batch-size", "{value}")),
        "context": Knob(("--max-total-tokens", "{value}")),
        "kv_ratio": Knob(
            ("--cuda-memory-fraction", "{value}"), note="of the GPU's memory, for weights and KV cache together"
        ),
        "dtype": Knob(("--dtype", "{value}")),
        "quantization": Knob(("--quantize", "{value}")),
        "kv_dtype": Knob(("--kv-cache-dtype", "{value}"), values={"fp8": "fp8_e4m3fn"}),
        "prefix_cache": Knob(env={"PREFIX_CACHING": "{value}"}, values={"on": "1", "off": "0"}, usual="on"),
        "tensor_parallel": Knob(("--num-shard", "{value}")),
    },
    absent={
        "chunked_prefill": "it chooses by itself",
        "seed": "every request brings its own",
        "threads": "it computes on a GPU",
    },
    defaults=(
        Default(
            "beyond 128 requests in flight it refuses instead of queueing",
            ("--max-concurrent-requests", "{most_requests}"),
        ),
        Default("a long prompt would be refused by the size of its body", ("--payload-limit", "100000000")),
    ),
    env={"HF_HUB_OFFLINE": "1"},
    ready_paths=("/health",),
    ready_within_s=900.0,
    failures=(
        Failure(
            r"not enough memory to handle|max_batch_prefill_tokens",
            "the KV cache is too small: lower --set context, or raise --set kv_ratio",
        ),
        *SHARED,
    ),
    installs={"docker": f"docker pull {_IMAGE}"},
    container=Container(
        images={"cuda": _IMAGE, "rocm": f"{_IMAGE}-rocm", "cpu": f"{_IMAGE}-intel-cpu"},
        words=(),
        port=80,
        options={
            "cuda": ("--gpus", "all", "--shm-size", "1g"),
            "rocm": ("--device", "/dev/kfd", "--device", "/dev/dri", "--shm-size", "1g"),
            "cpu": ("--shm-size", "1g"),
        },
    ),
)

FACTS = Facts(
    devices={
        "cuda": Fact("its home", SOURCE),
        "rocm": Fact("own image", DOCUMENTED),
        "xpu": Fact("own image", DOCUMENTED),
        "cpu": Fact("an image for Intel CPUs", DOCUMENTED),
    },
    formats=Fact("Hugging Face folders (safetensors)", SOURCE),
    quantizations=Fact("AWQ, GPTQ, EETQ, bitsandbytes, FP8; KV cache in FP8", SOURCE),
    hugging_face=Fact("made by Hugging Face: direct, by name or folder", DOCUMENTED),
    apis=Fact("OpenAI chat and completions, its own /generate_stream; answers cannot be forced to a length", SOURCE),
    metrics=Fact("Prometheus: queue, batch, histograms; no TTFT, no KV use, no preemptions, no prefix hits", SOURCE),
    strengths=(
        Fact("continuous batching, paged attention, prefix cache", SOURCE),
        Fact("speculative decoding (Medusa, n-grams)", SOURCE),
        Fact("one token, with its id, in every event", SOURCE),
    ),
    licence=Fact("Apache-2.0", SOURCE),
    upkeep=Fact("in maintenance since early 2026: small repairs only", SOURCE),
    proven_on=EMULATED,
    proven="an emulated engine, out of the source of 3.x; nothing real yet",
    is_only_maintained=True,
)

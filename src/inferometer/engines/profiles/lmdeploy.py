# SPDX-License-Identifier: Apache-2.0
"""LMDeploy: `lmdeploy serve api_server`. Flags and its refusal without a GPU were seen (0.18.0), a server was not."""

from __future__ import annotations

from inferometer.engines.facts import DOCUMENTED, EMULATED, SOURCE, Fact, Facts
from inferometer.engines.launch import HUGGING_FACE, Container, Knob, Launch, Program
from inferometer.engines.profiles.failures import SHARED

# --quant-policy counts bits; 0 leaves the cache as it is.
_QUANT_POLICY = {"auto": "0", "float16": "0", "bfloat16": "0", "int8": "8", "int4": "4"}

LAUNCH = Launch(
    programs=(Program(words=("lmdeploy",), packages=("lmdeploy",)),),
    arguments=(
        *("serve", "api_server", "{model}", "--model-name", "{name}"),
        *("--server-name", "{host}", "--server-port", "{port}"),
    ),
    formats=(HUGGING_FACE,),
    knobs={
        "max_concurrency": Knob(("--max-batch-size", "{value}")),
        "context": Knob(("--session-len", "{value}")),
        "kv_ratio": Knob(
            ("--cache-max-entry-count", "{value}"), note="of the GPU memory that is left, for the KV cache alone"
        ),
        "dtype": Knob(("--dtype", "{value}")),
        "quantization": Knob(("--model-format", "{value}")),
        "kv_dtype": Knob(("--quant-policy", "{value}"), values=_QUANT_POLICY),
        "prefix_cache": Knob(("--enable-prefix-caching",), (), usual="off", note="off unless asked for"),
        "tensor_parallel": Knob(("--tp", "{value}")),
    },
    absent={
        "chunked_prefill": "prompts are always taken in pieces, of --max-prefill-token-num tokens",
        "seed": "its chat and completion requests bring their own",
        "threads": "it computes on a GPU",
    },
    env={"HF_HUB_OFFLINE": "1"},
    ready_paths=("/health", "/v1/models"),
    ready_within_s=900.0,
    failures=SHARED,
    installs={"pip": "pip install lmdeploy", "docker": "docker pull openmmlab/lmdeploy:latest"},
    container=Container(
        images={"cuda": "openmmlab/lmdeploy:latest"},
        words=("lmdeploy",),
        port=23333,
        options={"cuda": ("--gpus", "all", "--ipc=host")},
    ),
)

FACTS = Facts(
    devices={
        "cuda": Fact("its home; that it stops without a CUDA device was seen", SOURCE),
        "npu": Fact("Ascend and others, PyTorch backend", DOCUMENTED),
    },
    formats=Fact("Hugging Face folders (safetensors)", SOURCE),
    quantizations=Fact("AWQ, GPTQ, FP8; KV cache in 4 or 8 bits", SOURCE),
    hugging_face=Fact("direct, by name or folder", DOCUMENTED),
    apis=Fact("OpenAI chat, completions and responses, Anthropic messages, its own /generate", SOURCE),
    metrics=Fact("Prometheus: queues, cache use, prefix hits, token counters, histograms; no preemptions", SOURCE),
    strengths=(
        Fact("TurboMind, a backend of its own in C++ and CUDA, for low latency", DOCUMENTED),
        Fact("blocked KV cache, continuous batching; prefix cache on request", SOURCE),
        Fact("4-bit weights and 4-bit KV cache", DOCUMENTED),
    ),
    licence=Fact("Apache-2.0"),
    upkeep=Fact("active"),
    proven_on=EMULATED,
    proven="an emulated engine, out of its source; of the real one its refusal to start without a GPU (0.18.0)",
)

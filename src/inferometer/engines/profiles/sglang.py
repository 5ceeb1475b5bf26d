# SPDX-License-Identifier: Apache-2.0
"""SGLang: `python -m sglang.launch_server`, from its documentation; not seen running."""

from __future__ import annotations

from inferometer.engines.facts import DOCUMENTED, EMULATED, SOURCE, Fact, Facts
from inferometer.engines.launch import HUGGING_FACE, Container, Default, Failure, Knob, Launch, Program
from inferometer.engines.profiles.failures import SHARED

LAUNCH = Launch(
    programs=(Program(words=("{python}", "-m", "sglang.launch_server"), packages=("sglang",)),),
    arguments=("--model-path", "{model}", "--served-model-name", "{name}", "--host", "{host}", "--port", "{port}"),
    formats=(HUGGING_FACE,),
    knobs={
        "max_concurrency": Knob(("--max-running-requests", "{value}")),
        "context": Knob(("--context-length", "{value}")),
        "kv_ratio": Knob(
            ("--mem-fraction-static", "{value}"), note="of the GPU's memory, for weights and KV cache together"
        ),
        "dtype": Knob(("--dtype", "{value}")),
        "quantization": Knob(("--quantization", "{value}")),
        "kv_dtype": Knob(("--kv-cache-dtype", "{value}"), values={"fp8": "fp8_e4m3"}),
        "prefix_cache": Knob((), ("--disable-radix-cache",), usual="on"),
        "chunked_prefill": Knob((), ("--chunked-prefill-size", "-1"), usual="on"),
        "tensor_parallel": Knob(("--tp", "{value}")),
        "seed": Knob(("--random-seed", "{value}")),
    },
    absent={"threads": "it computes on a GPU"},
    defaults=(Default("there are no metrics otherwise", ("--enable-metrics",)),),
    env={"HF_HUB_OFFLINE": "1"},
    ready_paths=("/health_generate", "/health"),
    ready_within_s=900.0,
    failures=(
        Failure(
            r"not enough memory|please try to increase --mem-fraction-static",
            "the KV cache is too small: raise --set kv_ratio, or lower --set context",
        ),
        *SHARED,
    ),
    installs={"pip": "pip install 'sglang[all]'", "docker": "docker pull lmsysorg/sglang:latest"},
    container=Container(
        images={"cuda": "lmsysorg/sglang:latest"},
        words=("python3", "-m", "sglang.launch_server"),
        port=30000,
        options={"cuda": ("--gpus", "all", "--shm-size", "32g", "--ipc=host")},
    ),
)

FACTS = Facts(
    devices={
        "cuda": Fact("its home", DOCUMENTED),
        "rocm": Fact("own image", DOCUMENTED),
        "tpu": Fact("by a sister project", DOCUMENTED),
        "npu": Fact("Ascend", DOCUMENTED),
    },
    formats=Fact("Hugging Face folders (safetensors)"),
    quantizations=Fact("AWQ, GPTQ, FP8, INT4, and more; KV cache in FP8"),
    hugging_face=Fact("direct, by name or folder"),
    apis=Fact("OpenAI chat and completions, its own /generate", SOURCE),
    metrics=Fact("Prometheus with --enable-metrics: queues, KV use, prefix hits, histograms"),
    strengths=(
        Fact("prefix cache as a tree over all requests (RadixAttention), for chats and agents that share beginnings"),
        Fact("continuous batching, paged KV cache, chunked prefill, speculative decoding"),
        Fact("fast structured output"),
    ),
    licence=Fact("Apache-2.0"),
    upkeep=Fact("very active"),
    proven_on=EMULATED,
    proven="an emulated engine, out of source and documentation; nothing real yet",
)

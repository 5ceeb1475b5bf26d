# SPDX-License-Identifier: Apache-2.0
"""llama.cpp: `llama-server`, or the same server out of the `xllamacpp` wheel. Both were seen running (0.5.0-dev)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.engines.facts import DOCUMENTED, REAL, SEEN, Fact, Facts
from inferometer.engines.launch import GGUF, Container, Default, Failure, Knob, Launch, Program

N_SPARE_HTTP_THREADS = 4  # health, metrics and whoever looks in, beside the connections of the load

_CACHE_TYPES = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "int8": "q8_0", "int4": "q4_0", "auto": "f16"}


def _derive(values: Mapping[str, Any]) -> dict[str, Any]:
    """--ctx-size is of all slots together; every connection holds an HTTP thread."""
    return {
        "total_context": values["context"] * values["max_concurrency"],
        "http_threads": values["n_connections"] + N_SPARE_HTTP_THREADS,
    }


_LESS = "give it less to hold: lower --set context or --set max_concurrency, or take a smaller quantization"

LAUNCH = Launch(
    programs=(
        Program(
            words=("llama-server",),
            version_words=("llama-server", "--version"),
            version_pattern=r"version: (\S+)",
            help_words=("llama-server", "--help"),
        ),
        Program(words=("{python}", "-P", "-m", "inferometer.embedded.server"), packages=("xllamacpp",), is_ours=True),
    ),
    arguments=("--model", "{model}", "--alias", "{name}", "--host", "{host}", "--port", "{port}"),
    formats=(GGUF,),
    always=("max_concurrency", "context", "threads"),
    derive=_derive,
    knobs={
        "max_concurrency": Knob(("--parallel", "{value}"), note="slots"),
        "context": Knob(("--ctx-size", "{total_context}"), note="of each slot; --ctx-size is of all together"),
        "kv_dtype": Knob(("--cache-type-k", "{value}", "--cache-type-v", "{value}"), values=_CACHE_TYPES),
        "prefix_cache": Knob(("--cache-prompt",), ("--no-cache-prompt",), usual="on"),
        "seed": Knob(("--seed", "{value}")),
        "threads": Knob(("--threads", "{value}", "--threads-batch", "{value}")),
    },
    absent={
        "kv_ratio": "its KV cache is as large as context times max_concurrency",
        "dtype": "the GGUF file decides",
        "quantization": "the GGUF file decides",
        "chunked_prefill": "prompts are always taken in pieces, of --ubatch-size tokens",
        "tensor_parallel": "it spreads a model over all GPUs by itself; --split-mode after -- says how",
    },
    defaults=(
        Default(
            "a waiting request holds an HTTP thread: with too few, requests queue where nobody counts them",
            ("--threads-http", "{http_threads}"),
        ),
        Default("/metrics answers 501 otherwise", ("--metrics",)),
        Default("with a unified KV cache that runs full, answers die with status 200", ("--no-kv-unified",)),
        Default("copying whole slots into a second cache is work that nobody asked for", ("--cache-ram", "0")),
        Default("context and slots would be shrunk to the free memory without a word", ("--fit", "off")),
        Default("slots could not be emptied before a run, though nothing is saved", ("--slot-save-path", "{scratch}")),
    ),
    ready_paths=("/health",),
    tells_memory=("--verbosity", "4"),
    failures=(
        Failure(r"unknown model architecture", "take a newer llama.cpp, or another model"),
        Failure(
            r"invalid magic|not a gguf|failed to read magic|gguf_init_from",
            "the file is no GGUF, or is cut off: fetch it again, or convert the model with convert_hf_to_gguf.py",
        ),
        Failure(r"not within the file bounds|corrupted or incomplete", "the file is cut off: fetch it again"),
        Failure(r"bad_alloc|failed to allocate|unable to allocate|cannot allocate memory", _LESS),
        Failure(r"failed to create.context", _LESS),
        Failure(r"couldn't bind|cannot bind", "choose another port, or let one be chosen"),
        Failure(r"failed to load model|error loading model", "is the file whole? its first lines in the log say more"),
    ),
    installs={
        "pip": "pip install 'inferometer[embedded]'",
        "brew": "brew install llama.cpp",
        "apt": "apt install llama.cpp (newer releases of Debian and Ubuntu)",
        "docker": "docker pull ghcr.io/ggml-org/llama.cpp:server",
    },
    container=Container(
        images={
            "cuda": "ghcr.io/ggml-org/llama.cpp:server-cuda",
            "cpu": "ghcr.io/ggml-org/llama.cpp:server",
        },
        words=(),
        port=8080,
        options={"cuda": ("--gpus", "all")},
    ),
    divides_cores=True,
)

FACTS = Facts(
    devices={
        "cuda": Fact("its own CUDA build", DOCUMENTED),
        "rocm": Fact("its own HIP build", DOCUMENTED),
        "metal": Fact("in every macOS build", DOCUMENTED),
        "xpu": Fact("its SYCL or Vulkan build", DOCUMENTED),
        "cpu": Fact("x86-64 (seen) and ARM; prebuilt xllamacpp wheels avoid AVX-512, so they are slower", SEEN),
    },
    formats=Fact("GGUF", SEEN),
    quantizations=Fact("in the file: Q2_K to Q8_0, IQ, F16, BF16, F32; KV cache f32, f16, q8_0, q4_0, ...", SEEN),
    hugging_face=Fact(
        "after conversion (convert_hf_to_gguf.py); many models lie on the hub as GGUF already", DOCUMENTED
    ),
    apis=Fact("OpenAI chat and completions, its own /completion, Anthropic messages", SEEN),
    metrics=Fact("Prometheus with --metrics, no KV use; /slots is live", SEEN),
    strengths=(
        Fact("runs anywhere, starts in a fraction of a second, needs no Python", SEEN),
        Fact("continuous batching over slots, each with its own prefix cache", SEEN),
        Fact("more quantizations than any other; layers may be split between GPU and CPU", DOCUMENTED),
        Fact("speculative decoding with a draft model or n-grams", DOCUMENTED),
        Fact("no paged KV cache: a slot's context is set aside at the start", SEEN),
    ),
    licence=Fact("MIT"),
    upkeep=Fact("very active, several builds a day; names of flags change"),
    proven_on=REAL,
    proven="the real engine, in the tests of every change (through xllamacpp, on CPU)",
)

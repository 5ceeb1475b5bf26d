# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM: `trtllm-serve`, from its documentation and source; not seen running.

What has no flag goes into a file of options, YAML by its own word; JSON is YAML too.
"""

from __future__ import annotations

from inferometer.engines.facts import DOCUMENTED, EMULATED, SOURCE, Fact, Facts
from inferometer.engines.launch import HUGGING_FACE, Container, Default, Knob, Launch, Program
from inferometer.engines.profiles.failures import SHARED

LAUNCH = Launch(
    programs=(Program(words=("trtllm-serve",), packages=("tensorrt-llm",)),),
    arguments=("{model}", "--host", "{host}", "--port", "{port}", "--backend", "pytorch"),
    formats=(HUGGING_FACE,),
    options_words=("--extra_llm_api_options", "{options}"),
    knobs={
        "max_concurrency": Knob(("--max_batch_size", "{value}")),
        "context": Knob(("--max_seq_len", "{value}")),
        "kv_ratio": Knob(
            ("--kv_cache_free_gpu_memory_fraction", "{value}"),
            note="of the GPU memory that is left after the weights, for the KV cache alone",
        ),
        "dtype": Knob(option="dtype"),
        "kv_dtype": Knob(option="kv_cache_config.dtype"),
        "prefix_cache": Knob(option="kv_cache_config.enable_block_reuse"),
        "chunked_prefill": Knob(
            option="enable_chunked_prefill", note="without it --max_num_tokens also bounds the length of a prompt"
        ),
        "tensor_parallel": Knob(("--tp_size", "{value}")),
    },
    absent={
        "quantization": "the checkpoint decides",
        "seed": "every request brings its own",
        "threads": "it computes on a GPU",
    },
    defaults=(
        Default(
            "there is no /prometheus/metrics otherwise",
            options={"return_perf_metrics": True},
        ),
    ),
    env={"HF_HUB_OFFLINE": "1"},
    ready_paths=("/health",),
    ready_within_s=1800.0,
    failures=SHARED,
    installs={
        "pip": "pip install tensorrt_llm (CUDA, see its installation guide)",
        "docker": "docker pull nvcr.io/nvidia/tensorrt-llm/release:latest",
    },
    container=Container(
        images={"cuda": "nvcr.io/nvidia/tensorrt-llm/release:latest"},
        words=("trtllm-serve",),
        port=8000,
        options={"cuda": ("--gpus", "all", "--ipc=host", "--ulimit", "memlock=-1", "--ulimit", "stack=67108864")},
    ),
)

FACTS = Facts(
    devices={"cuda": Fact("Ampere and newer; nothing else", DOCUMENTED)},
    formats=Fact("Hugging Face folders; with the older backend engines built beforehand"),
    quantizations=Fact("FP8, NVFP4, INT8, AWQ, GPTQ, by ModelOpt checkpoints; KV cache in FP8 and INT8"),
    hugging_face=Fact("direct with the PyTorch backend, for the architectures that it has"),
    apis=Fact("OpenAI chat, completions and responses; behind Triton its generate extension", SOURCE),
    metrics=Fact("Prometheus with return_perf_metrics; /metrics is a JSON list that reading empties", SOURCE),
    strengths=(
        Fact("NVIDIA's own kernels, CUDA graphs and FP8/FP4: low latency on new GPUs"),
        Fact("paged KV cache, in-flight batching, block reuse, chunked prefill"),
        Fact("speculative decoding (EAGLE, MTP, n-grams), disaggregated serving"),
    ),
    licence=Fact("Apache-2.0"),
    upkeep=Fact("active, by NVIDIA"),
    proven_on=EMULATED,
    proven="an emulated engine, out of source and documentation; nothing real yet",
)

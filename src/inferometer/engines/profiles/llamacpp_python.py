# SPDX-License-Identifier: Apache-2.0
"""llama-cpp-python: `python -m llama_cpp.server`. Seen running (0.3.36)."""

from __future__ import annotations

from inferometer.engines.facts import DOCUMENTED, RECORDED, SEEN, Fact, Facts
from inferometer.engines.launch import GGUF, Default, Knob, Launch, Program
from inferometer.engines.profiles.llamacpp import LAUNCH as LLAMACPP

# It wants ggml's numbers of types.
_CACHE_TYPES = {"float32": "0", "float16": "1", "auto": "1", "int4": "2", "int8": "8", "bfloat16": "30"}

LAUNCH = Launch(
    programs=(Program(words=("{python}", "-m", "llama_cpp.server"), packages=("llama-cpp-python",)),),
    arguments=("--model", "{model}", "--model_alias", "{name}", "--host", "{host}", "--port", "{port}"),
    formats=(GGUF,),
    always=("context", "threads"),
    knobs={
        "context": Knob(("--n_ctx", "{value}"), note="2,048 where nothing is said, whatever the model can"),
        "kv_dtype": Knob(("--type_k", "{value}", "--type_v", "{value}"), values=_CACHE_TYPES),
        "prefix_cache": Knob(
            ("--cache", "true"), ("--cache", "false"), note="a cache of whole states, beside that of the last request"
        ),
        "seed": Knob(("--seed", "{value}")),
        "threads": Knob(("--n_threads", "{value}")),
    },
    absent={
        "max_concurrency": "it serves one request at a time, whatever it is told",
        "kv_ratio": "its KV cache is as large as the context",
        "dtype": "the GGUF file decides",
        "quantization": "the GGUF file decides",
        "chunked_prefill": "prompts are always taken in pieces, of --n_batch tokens",
        "tensor_parallel": "it spreads a model over all GPUs by itself; --split_mode after -- says how",
    },
    defaults=(
        Default("a new request would cut the running stream, with status 200", ("--interrupt_requests", "False")),
    ),
    ready_paths=("/v1/models",),
    ready_within_s=300.0,
    failures=LLAMACPP.failures,
    installs={"pip": "pip install 'llama-cpp-python[server]' (compiles for some minutes)"},
    divides_cores=True,
)

FACTS = Facts(
    devices={
        "cuda": Fact("when compiled for it", DOCUMENTED),
        "rocm": Fact("when compiled for it", DOCUMENTED),
        "metal": Fact("when compiled for it", DOCUMENTED),
        "cpu": Fact("any that llama.cpp runs on", SEEN),
    },
    formats=Fact("GGUF", SEEN),
    quantizations=Fact("as llama.cpp, in the file", SEEN),
    hugging_face=Fact("GGUF files of the hub, or after conversion", DOCUMENTED),
    apis=Fact("OpenAI chat and completions; no usage in streams, no token ids", SEEN),
    metrics=Fact("none", SEEN),
    strengths=(
        Fact("llama.cpp inside a Python program", DOCUMENTED),
        Fact("one request at a time: for one user, not for load", SEEN),
    ),
    licence=Fact("MIT"),
    upkeep=Fact("now and then; follows llama.cpp"),
    proven_on=RECORDED,
    proven="recorded answers of the real engine (0.3.36), and an emulated one",
)

# SPDX-License-Identifier: Apache-2.0
"""Ollama: `ollama serve`, told everything by variables; from its documentation, not seen running."""

from __future__ import annotations

from inferometer.engines.facts import EMULATED, Fact, Facts
from inferometer.engines.launch import OWN_NAME, Default, Knob, Launch, Program
from inferometer.engines.profiles.failures import OUT_OF_MEMORY, PORT_IN_USE

LAUNCH = Launch(
    programs=(Program(words=("ollama",), version_words=("ollama", "--version"), version_pattern=r"version is (\S+)"),),
    arguments=("serve",),
    formats=(OWN_NAME,),
    always=("max_concurrency", "context"),
    knobs={
        "max_concurrency": Knob(env={"OLLAMA_NUM_PARALLEL": "{value}"}),
        "context": Knob(env={"OLLAMA_CONTEXT_LENGTH": "{value}"}, note="longer prompts are shortened without a word"),
        "kv_dtype": Knob(
            env={"OLLAMA_KV_CACHE_TYPE": "{value}", "OLLAMA_FLASH_ATTENTION": "1"},
            values={"auto": "f16", "float16": "f16", "int8": "q8_0", "int4": "q4_0"},
        ),
    },
    absent={
        "kv_ratio": "it fits models into memory by itself",
        "dtype": "the model decides",
        "quantization": "the model decides: name:8b-q4_K_M",
        "prefix_cache": "always on",
        "chunked_prefill": "prompts are always taken in pieces",
        "tensor_parallel": "it spreads models over GPUs by itself",
        "seed": "every request brings its own",
        "threads": "a request's options or its Modelfile say so (num_thread)",
    },
    defaults=(
        Default(
            "an idle model would be unloaded, and loaded again by the next request", env={"OLLAMA_KEEP_ALIVE": "-1"}
        ),
    ),
    env={"OLLAMA_HOST": "{host}:{port}"},
    ready_paths=("/api/version",),
    ready_within_s=120.0,
    failures=(OUT_OF_MEMORY, PORT_IN_USE),
    installs={"script": "see https://ollama.com/download", "brew": "brew install ollama"},
)

FACTS = Facts(
    devices={
        "cuda": Fact("NVIDIA"),
        "rocm": Fact("AMD"),
        "metal": Fact("Apple"),
        "cpu": Fact("any"),
    },
    formats=Fact("its own library by name; GGUF through a Modelfile"),
    quantizations=Fact("as llama.cpp; KV cache f16, q8_0, q4_0"),
    hugging_face=Fact("GGUF repositories: ollama pull hf.co/owner/name"),
    apis=Fact("its own in lines of JSON, OpenAI chat and completions; answers cannot be forced to a length"),
    metrics=Fact("none; each answer tells its own times"),
    strengths=(
        Fact("one command from nothing to an answer; loads and unloads models by itself"),
        Fact("for one machine and few users, not for load"),
    ),
    licence=Fact("MIT"),
    upkeep=Fact("very active"),
    proven_on=EMULATED,
    proven="an emulated engine, out of documentation; nothing real yet",
)

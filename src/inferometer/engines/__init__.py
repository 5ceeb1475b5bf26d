# SPDX-License-Identifier: Apache-2.0
"""Engines and the dialects they speak: explicit tables. A new engine is one file and one word here."""

from inferometer.engines import (
    generic,
    llamacpp,
    llamacpp_python,
    lmdeploy,
    ollama,
    sglang,
    tensorrt_llm,
    tgi,
    triton,
    vllm,
)
from inferometer.engines.engine import Dialect, Engine

# In the order in which they are asked whether a server is theirs; the last takes whatever is left. Those that the list
# of models gives away come first, for others copy their routes.
ENGINES: tuple[Engine, ...] = (
    llamacpp.ENGINE,
    vllm.ENGINE,
    sglang.ENGINE,
    lmdeploy.ENGINE,
    tensorrt_llm.ENGINE,
    tgi.ENGINE,
    llamacpp_python.ENGINE,
    ollama.ENGINE,
    triton.ENGINE,
    generic.ENGINE,
)

# By the name that a run's manifest keeps.
DIALECTS: dict[str, Dialect] = {
    speech.dialect.name: speech.dialect for engine in ENGINES for speech in engine.speaks.values()
}

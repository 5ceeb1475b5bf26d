# SPDX-License-Identifier: Apache-2.0
"""Engines and the dialects they speak: explicit tables. A new engine is one file and one word here."""

from inferometer.engines import generic, llamacpp, vllm
from inferometer.engines.engine import Dialect, Engine

# In the order in which they are asked whether a server is theirs; the last takes whatever is left.
ENGINES: tuple[Engine, ...] = (llamacpp.ENGINE, vllm.ENGINE, generic.ENGINE)

# By the name that a run's manifest keeps.
DIALECTS: dict[str, Dialect] = {
    speech.dialect.name: speech.dialect for engine in ENGINES for speech in engine.speaks.values()
}

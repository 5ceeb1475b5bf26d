# SPDX-License-Identifier: Apache-2.0
"""Engines and the dialects they speak: explicit tables. A new engine is one file and one word here."""

from inferometer.engines import generic, llamacpp, vllm
from inferometer.engines.engine import Dialect, Engine
from inferometer.engines.openai import CHAT, COMPLETIONS

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (CHAT, COMPLETIONS)}

# In the order in which they are asked whether a server is theirs; the last takes whatever is left.
ENGINES: tuple[Engine, ...] = (llamacpp.ENGINE, vllm.ENGINE, generic.ENGINE)

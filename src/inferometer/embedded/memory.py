# SPDX-License-Identifier: Apache-2.0
"""What the embedded engine takes for a model: its own figures, out of its log, and what its processes hold.

Started twice, with a short and a long context: what it holds more with the long one is the cache (and what else grows
with it), without the interpreter, the libraries and the weights, which are the same in both.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from inferometer.embedded.server import command
from inferometer.engines.cache_told import CacheTold
from inferometer.engines.llamacpp_log import read_log
from inferometer.errors import EngineError, UsageError
from inferometer.host.launch import Server, launch, place_port
from inferometer.host.sample import EngineSampler

SHORT_SHARE = 4  # the short context is a fourth of the long one
_CACHE_TYPES = {"fp32": "f32", "fp16": "f16"}  # the others are called the same
_OF_LLAMACPP = ("fp32", "fp16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


@dataclass(frozen=True, slots=True)
class Taken:
    """One start. `held_bytes`: of its processes, shared pages by their share (Pss); None where it cannot be read."""

    told: CacheTold
    held_bytes: int | None


def check_format(kv_format: str) -> None:
    """Raises: UsageError for a format of keys and values that llama.cpp does not have."""
    if kv_format not in _OF_LLAMACPP:
        raise UsageError(
            f"--kv {kv_format}: llama.cpp keeps no cache in it", f"choose one of {', '.join(_OF_LLAMACPP)}"
        )


def measure(model: Path, *, n_slots: int, context_tokens: int, kv_format: str) -> tuple[Taken, Taken]:
    """With a fourth of the context, and with all of it.

    Raises: EngineError if it does not start or says nothing.
    """
    short = context_tokens // SHORT_SHARE
    return (
        _start(model, n_slots=n_slots, context_tokens=short, kv_format=kv_format),
        _start(model, n_slots=n_slots, context_tokens=context_tokens, kv_format=kv_format),
    )


def _start(model: Path, *, n_slots: int, context_tokens: int, kv_format: str) -> Taken:
    name = _CACHE_TYPES.get(kv_format, kv_format)
    words = command(model, n_slots=n_slots, context_tokens=context_tokens)
    words += ["--cache-type-k", name, "--cache-type-v", name, "--verbosity", "4"]
    argv, url = place_port(words, None)
    with tempfile.TemporaryDirectory(prefix="inferometer-") as folder:
        log = Path(folder) / "engine.log"
        with launch(argv, base_url=url, log_path=log) as server:
            held = _held_bytes(server)
            text = log.read_text(encoding="utf-8", errors="replace")
    told = read_log(text)
    if told is None:
        raise EngineError("the embedded engine's log says nothing of a cache", "is xllamacpp as new as asked?")
    return Taken(told, held)


def _held_bytes(server: Server) -> int | None:
    sampler = EngineSampler(server.pids())
    try:
        return next((int(value) for name, value in sampler.read() if name == "pss_bytes"), None)
    finally:
        sampler.close()

# SPDX-License-Identifier: Apache-2.0
"""What the embedded engine takes for a model: its own figures, out of its log, and what its processes hold.

Started twice, with a short and a long context: what it holds more with the long one is the cache (and what else grows
with it), without the interpreter, the libraries and the weights, which are the same in both.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from inferometer.embedded.server import command
from inferometer.errors import EngineError, UsageError
from inferometer.host.launch import Server, launch, place_port
from inferometer.host.sample import EngineSampler

_MIB = 1024 * 1024
SHORT_SHARE = 4  # the short context is a fourth of the long one
_CACHE_TYPES = {"fp32": "f32", "fp16": "f16"}  # the others are called the same
_OF_LLAMACPP = ("fp32", "fp16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
_KV = re.compile(r"llama_kv_cache\w*: size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers, +\d+/(\d+) seqs\)")
_STATE = re.compile(r"llama_memory_recurrent\w*: size = +([\d.]+) MiB")
_COMPUTE = re.compile(r"compute buffer size = +([\d.]+) MiB")
_MODEL = re.compile(r"model buffer size = +([\d.]+) MiB")
_REPACKED = re.compile(r"REPACK model buffer size = +([\d.]+) MiB")


@dataclass(frozen=True, slots=True)
class Told:
    """Bytes as the engine prints them (to 0.01 MiB); 0 where it says nothing of the kind. `n_tokens`: that its cache
    has room for, in all; `repacked_bytes`: of the model's, a second copy in another order."""

    kv_bytes: float
    n_tokens: int
    state_bytes: float
    model_bytes: float
    repacked_bytes: float
    compute_bytes: float


@dataclass(frozen=True, slots=True)
class Taken:
    """One start. `held_bytes`: of its processes, shared pages by their share (Pss); None where it cannot be read."""

    told: Told
    held_bytes: int | None


def read_log(text: str) -> Told:
    """The figures in a log of verbosity 4. Raises: ValueError if it has none of a cache."""
    caches = _KV.findall(text)
    if not caches and not _STATE.search(text):
        raise ValueError("the engine's log says nothing of a cache")
    return Told(
        kv_bytes=sum(float(size) for size, *_ in caches) * _MIB,
        n_tokens=max((int(cells) * int(n_sequences) for _, cells, _, n_sequences in caches), default=0),
        state_bytes=_sum(_STATE, text),
        model_bytes=_sum(_MODEL, text),
        repacked_bytes=_sum(_REPACKED, text),
        compute_bytes=_sum(_COMPUTE, text),
    )


def _sum(pattern: re.Pattern[str], text: str) -> float:
    return sum(float(size) for size in pattern.findall(text)) * _MIB


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
    try:
        return Taken(read_log(text), held)
    except ValueError as error:
        raise EngineError(f"the embedded engine cannot be checked: {error}", "is xllamacpp as new as asked?") from error


def _held_bytes(server: Server) -> int | None:
    sampler = EngineSampler(server.pids())
    try:
        return next((int(value) for name, value in sampler.read() if name == "pss_bytes"), None)
    finally:
        sampler.close()

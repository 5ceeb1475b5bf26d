# SPDX-License-Identifier: Apache-2.0
"""How each engine is told to do otherwise where a latency finding asks for it: its canonical knobs, else its own flags.

`source` says whether the flag was seen in the engine's own help, or is what its documentation says.
"""

from __future__ import annotations

from collections.abc import Mapping

from inferometer.analysis.finding import Remedy
from inferometer.engines.engine import Engine

SEEN, DOCUMENTED = "seen: the engine lists it in its help", "documented by the engine"
SPARE_THREADS = 4  # for whoever looks at health and metrics
PIECE = 512  # tokens of a prompt between two tokens of others

# By engine: flag, and what it takes ({n}: requests in flight).
_THREADS: Mapping[str, tuple[str, str]] = {
    "llama.cpp": ("--threads-http {n}", SEEN),
    "vllm": ("--api-server-count 2", DOCUMENTED),
}
_PIECES: Mapping[str, tuple[str, str]] = {
    "llama.cpp": (f"--batch-size {PIECE} --ubatch-size {PIECE}", SEEN),
    "vllm": (f"--max-num-batched-tokens {PIECE}", SEEN),
    "sglang": (f"--chunked-prefill-size {PIECE}", DOCUMENTED),
    "lmdeploy": (f"--max-prefill-token-num {PIECE}", DOCUMENTED),
    "tensorrt-llm": ("enable_chunked_prefill: true in --extra_llm_api_options", DOCUMENTED),
    "tgi": (f"--max-batch-prefill-tokens {PIECE}", DOCUMENTED),
}


def relief_of(engine: Engine, n_in_flight: int) -> dict[str, Remedy]:
    """By code of a finding. What cannot be said in the engine's words is said in plain ones."""
    knobs = engine.launch.knobs if engine.launch is not None else {}
    threads, threads_source = _THREADS.get(engine.name, ("", ""))
    piece, piece_source = _PIECES.get(engine.name, ("", ""))
    has_slots = "max_concurrency" in knobs
    can_chunk = "chunked_prefill" in knobs
    return {
        "unheard": Remedy(
            f"give it threads for all who come: {threads.format(n=n_in_flight + SPARE_THREADS)}"
            if threads
            else "raise the limit of connections or workers in front of it",
            source=threads_source,
        ),
        "slots": Remedy(
            "let it work on more at a time"
            if has_slots
            else "let it work on more at a time, or start another beside it",
            (f"max_concurrency={n_in_flight}",) if has_slots else (),
            source=SEEN if has_slots else "",
        ),
        "prefill_stalls": Remedy(
            f"compute prompts in pieces{f': {piece}' if piece else ''}",
            ("chunked_prefill=on",) if can_chunk else (),
            source=piece_source,
        ),
        "preemption_stalls": Remedy(
            "give its cache more room, or let it begin fewer at a time",
            ("kv_ratio=0.95",) if "kv_ratio" in knobs else (),
        ),
        "throttled": Remedy(
            "look for heat, a power limit or a CPU quota (nvidia-smi -q -d PERFORMANCE; cpu.max of its control group)"
        ),
        "client": Remedy("drive it from another machine, or with more processes: --workers 2"),
    }

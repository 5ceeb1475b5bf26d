# SPDX-License-Identifier: Apache-2.0
"""The embedded engine: llama.cpp's own HTTP server, in a process of its own. `python -m inferometer.embedded.server`.

Rule 1: it takes the options of `llama-server` that it knows, under their own names, so that one command line starts
either; its defaults differ where llama-server's would spoil a measurement, and each such default says why below.
Rule 2: it ends with its parent, and at once when asked to: there is nothing to save.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inferometer.embedded import require, served_name
from inferometer.errors import InferometerError
from inferometer.host.supervise import die_with_parent

# A matrix of this model is too small to be worth sharing among more: threads wait for each other at every one of them.
# Two threads give 1.6 times the throughput of one.
MOST_THREADS = 4
N_SPARE_HTTP_THREADS = 4  # health, metrics and whoever looks in, beside the connections that are measured
_PARENT_POLL_S = 1.0
_FEWEST_CONTEXT_TOKENS = 512


def command(
    model: Path,
    *,
    n_slots: int,
    n_threads: int = 1,
    context_tokens: int = 2048,
    n_connections: int | None = None,
    alias: str = "",
    is_precise: bool = False,
) -> list[str]:
    """The command line that starts this server, with `{port}` in it, for `host.launch`.

    `n_slots`: sequences decoded together; `n_threads`: computing threads, of which MOST_THREADS are used;
    `context_tokens`: of each slot; `n_connections`: at most so many at once (default: one per slot); `is_precise`:
    attention in float32, slower, for comparing with a reference.
    """
    words = [sys.executable, "-P", "-m", "inferometer.embedded.server", "--model", str(model), "--port", "{port}"]
    words += ["--parallel", str(n_slots), "--threads", str(min(n_threads, MOST_THREADS))]
    words += ["--ctx-size", str(n_slots * max(context_tokens, _FEWEST_CONTEXT_TOKENS))]
    words += ["--threads-http", str((n_connections or n_slots) + N_SPARE_HTTP_THREADS), "--metrics"]
    # As it comes, keys and values are float16, and so is part of flash attention: log-probabilities of a trained
    # model are then off by some 0.001, at times by 0.02. Like this they agree with PyTorch to 0.00001.
    words += ["--cache-type-k", "f32", "--cache-type-v", "f32", "--flash-attn", "off"] if is_precise else []
    return [*words, "--alias", alias or served_name(model)]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop. Returns the exit code."""
    parent = os.getppid()
    die_with_parent()
    is_stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_stopping.set())
    options = _read_options(argv)
    try:
        server = _start(options)
    except (InferometerError, RuntimeError) as error:  # RuntimeError: the model cannot be loaded; llama.cpp said why
        print(f"the embedded engine cannot start: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    print(f"ready on {server.listening_address}", flush=True)  # noqa: T201 - this process's only output
    while not is_stopping.wait(_PARENT_POLL_S) and os.getppid() == parent:
        pass
    # llama.cpp's orderly shutdown waits for open connections; whoever stops us does not want to.
    os._exit(0)


def _read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="inferometer.embedded.server", description=__doc__, allow_abbrev=False)
    parser.add_argument("-m", "--model", required=True, help="GGUF file")
    parser.add_argument("-a", "--alias", default="", help="name under which the model is served")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("-np", "--parallel", type=int, default=4, help="slots: sequences decoded together")
    parser.add_argument("-c", "--ctx-size", type=int, default=4 * 2048, help="tokens, of all slots together")
    parser.add_argument("-t", "--threads", type=int, default=1, help="computing threads")
    parser.add_argument("-tb", "--threads-batch", type=int, help="the same for prompts (default: --threads)")
    parser.add_argument("--threads-http", type=int, default=16, help="at least connections + 4")
    parser.add_argument("-s", "--seed", type=int, default=1, help="of sampling, where a request brings none")
    parser.add_argument("-ctk", "--cache-type-k", choices=_cache_types(), default="f16", help="number format of keys")
    parser.add_argument("-ctv", "--cache-type-v", choices=_cache_types(), default="f16", help="... and of values")
    parser.add_argument("-fa", "--flash-attn", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("-b", "--batch-size", type=int, help="tokens taken together, at most")
    parser.add_argument("-ub", "--ubatch-size", type=int, help="tokens computed together: chunks of a prompt")
    parser.add_argument("-ngl", "--n-gpu-layers", type=int, default=0, help="layers on a GPU")
    parser.add_argument("-lv", "--verbosity", type=int, help="of the log; 4 shows model and KV cache")
    parser.add_argument("--metrics", action="store_true", help="serve /metrics")
    # Each slot has its own context: a unified one lets requests die in mid-answer when it runs full under load.
    _add_switch(parser, "--kv-unified", default=False, help="one KV cache for all slots")
    # The prefix cache inside the slots stays on, as everywhere: prompts differ from their first token on, and
    # --shared-prefix is there to show it. The second cache, of finished prompts in host memory, copies the whole
    # state of a slot at each new request; it would be work between requests that nobody asked for.
    _add_switch(parser, "--cache-prompt", default=True, help="prefix cache inside the slots")
    parser.add_argument("-cram", "--cache-ram", type=int, default=0, help="MiB for a cache of finished prompts")
    # Nobody asks for a slot to be saved; but without a folder to save to, none can be emptied either.
    parser.add_argument("--slot-save-path", default=tempfile.gettempdir(), help="folder for the states of slots")
    # Off: no adapting of context and slots to free memory, but what was asked for, or an error.
    parser.add_argument("-fit", "--fit", choices=("on", "off"), default="off", help="shrink what does not fit")
    return parser.parse_args(argv)


def _add_switch(parser: argparse.ArgumentParser, name: str, *, default: bool, help: str) -> None:
    parser.add_argument(name, action=argparse.BooleanOptionalAction, default=default, help=help)


def _cache_types() -> dict[str, str]:
    """By the name that llama-server gives each number format of the KV cache, its name in ggml."""
    names = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
    return {name: f"GGML_TYPE_{name.upper()}" for name in names}


def _start(options: argparse.Namespace) -> Any:
    """The running server object. Raises RuntimeError if the model cannot be loaded or the port is taken."""
    xllamacpp = require("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias or served_name(Path(options.model))}
    params.hostnames = [options.host]
    params.port = options.port
    params.n_parallel = options.parallel
    params.kv_unified = options.kv_unified
    params.n_ctx = options.ctx_size
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads_batch or options.threads
    # Every waiting request and every idle connection holds a thread; with too few, requests queue where nobody looks.
    params.n_threads_http = options.threads_http
    params.sampling.seed = options.seed
    params.cache_type_k, params.cache_type_v = (
        getattr(xllamacpp.ggml_type, _cache_types()[name]) for name in (options.cache_type_k, options.cache_type_v)
    )
    kinds = {"on": "ENABLED", "off": "DISABLED"}
    if options.flash_attn in kinds:
        kind = f"LLAMA_FLASH_ATTN_TYPE_{kinds[options.flash_attn]}"
        params.flash_attn_type = getattr(xllamacpp.llama_flash_attn_type, kind)
    for name, value in (("n_batch", options.batch_size), ("n_ubatch", options.ubatch_size)):
        if value is not None:
            setattr(params, name, value)
    if options.verbosity is not None:
        params.verbosity = options.verbosity
    params.endpoint_metrics = options.metrics
    params.warmup = True
    params.cache_prompt = options.cache_prompt
    params.cache_ram_mib = options.cache_ram
    params.fit_params = options.fit == "on"
    params.slot_save_path = f"{options.slot_save_path.rstrip('/')}/"  # file names are put behind it
    params.n_gpu_layers = options.n_gpu_layers
    params.ui = False
    params.offline = True
    return xllamacpp.Server(params)


if __name__ == "__main__":
    sys.exit(main())

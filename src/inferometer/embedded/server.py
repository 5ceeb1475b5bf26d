# SPDX-License-Identifier: Apache-2.0
"""The embedded engine: llama.cpp's own HTTP server, in a process of its own. `python -m inferometer.embedded.server`.

Rule 1: it is configured like a `llama-server` started by hand, but for what would spoil a measurement; each such
setting says why below.
Rule 2: it ends with its parent, and at once when asked to: there is nothing to save.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
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
    words += ["--slots", str(n_slots), "--threads", str(min(n_threads, MOST_THREADS))]
    words += ["--context", str(max(context_tokens, _FEWEST_CONTEXT_TOKENS))]
    words += ["--threads-http", str((n_connections or n_slots) + N_SPARE_HTTP_THREADS)]
    words += ["--precise"] if is_precise else []
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
    parser = argparse.ArgumentParser(prog="inferometer.embedded.server", description=__doc__)
    parser.add_argument("--model", required=True, help="GGUF file")
    parser.add_argument("--alias", default="", help="name under which the model is served")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=4, help="sequences decoded together")
    parser.add_argument("--context", type=int, default=2048, help="tokens per slot")
    parser.add_argument("--threads", type=int, default=1, help="computing threads")
    parser.add_argument("--threads-http", type=int, default=16, help="at least connections + 4")
    parser.add_argument("--precise", action="store_true", help="attention in float32")
    parser.add_argument("--seed", type=int, default=1, help="of sampling, where a request brings none")
    return parser.parse_args(argv)


def _start(options: argparse.Namespace) -> Any:
    """The running server object. Raises RuntimeError if the model cannot be loaded or the port is taken."""
    xllamacpp = require("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias or served_name(Path(options.model))}
    params.hostnames = [options.host]
    params.port = options.port
    params.n_parallel = options.slots
    # Each slot has its own context: a unified one lets requests die in mid-answer when it runs full under load.
    params.kv_unified = False
    params.n_ctx = options.context * options.slots
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    # Every waiting request and every idle connection holds a thread; with too few, requests queue where nobody looks.
    params.n_threads_http = options.threads_http
    params.sampling.seed = options.seed
    if options.precise:
        # As it comes, keys and values are float16, and so is part of flash attention: log-probabilities of a trained
        # model are then off by some 0.001, at times by 0.02. Like this they agree with PyTorch to 0.00001.
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.endpoint_metrics = True
    params.warmup = True
    # The prefix cache inside the slots stays on, as everywhere: prompts differ from their first token on, and
    # --shared-prefix is there to show it. The second cache, of finished prompts in host memory, copies the whole
    # state of a slot at each new request; it would be work between requests that nobody asked for.
    params.cache_prompt = True
    params.cache_ram_mib = 0
    params.fit_params = False  # no adapting of context and slots to free memory: what was asked for, or an error
    params.n_gpu_layers = 0
    params.ui = False
    params.offline = True
    return xllamacpp.Server(params)


if __name__ == "__main__":
    sys.exit(main())

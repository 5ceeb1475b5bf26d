# SPDX-License-Identifier: Apache-2.0
"""Asking the real llama.cpp server: greedy answers to questions, and what it thought of each token it said.

Rule 1: it is the embedded engine as a user gets it, started and stopped by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from inferometer.embedded.server import command
from inferometer.host.launch import launch, place_port
from inferometer.tasks import Item

N_SLOTS = 4
N_MOST = 64  # tokens of an answer; the longest right one has about 40
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """A greedy answer by token: ids, and the log-probability of each as the engine computed it."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


class Engine:
    """A running server with one model."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT_S, limits=httpx.Limits(max_connections=2 * N_SLOTS))

    def answers(self, items: Sequence[Item]) -> list[str]:
        """What it says to each question, through the chat template."""
        return self._all(self._answer, [item.prompt for item in items])

    def spoken(self, prompts: Sequence[Sequence[int]]) -> list[Spoken]:
        """What it says after each prompt of token ids."""
        return self._all(self._speak, prompts)

    def close(self) -> None:
        self._client.close()

    def _all(self, ask: Any, questions: Sequence[Any]) -> list[Any]:
        with ThreadPoolExecutor(2 * N_SLOTS) as pool:
            return list(pool.map(ask, questions))

    def _answer(self, prompt: str) -> str:
        body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": N_MOST, "temperature": 0.0}
        told = self._post("/v1/chat/completions", body | {"cache_prompt": False})
        return str(told["choices"][0]["message"]["content"])

    def _speak(self, ids: Sequence[int]) -> Spoken:
        body = {"prompt": list(ids), "n_predict": N_MOST, "temperature": 0.0, "n_probs": 1, "cache_prompt": False}
        told = self._post("/completion", body)["completion_probabilities"]
        return Spoken(tuple(entry["id"] for entry in told), tuple(entry["logprob"] for entry in told))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def serving(model: Path, *, context_tokens: int, log_folder: Path, is_precise: bool = False) -> Iterator[Engine]:
    """The embedded engine with this GGUF file. `is_precise`: attention in float32.

    One computing thread: several servers at once, one thread each, get through twice as much as one with all cores.
    """
    argv, url = place_port(
        command(
            model,
            n_slots=N_SLOTS,
            n_threads=1,
            context_tokens=context_tokens,
            n_connections=2 * N_SLOTS,
            is_precise=is_precise,
        ),
        None,
    )
    log_path = log_folder / f"{model.stem}{'-precise' if is_precise else ''}.log"
    with launch(argv, base_url=url, log_path=log_path):
        engine = Engine(url)
        try:
            yield engine
        finally:
            engine.close()

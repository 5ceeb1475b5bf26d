# SPDX-License-Identifier: Apache-2.0
"""The same weights, the same held-out questions, greedy: how far the answers of the two real engines differ.

Both compute in 16 bits or less and add up in another order, so they part where two tokens are almost equally likely;
a different chat template, tokenizer or rotation would make them part at once.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from tests.contract.conftest import Found
from tests.contract.engines import CONTRACTS, Running, started

from inferometer.host.control import Control
from inferometer.tasks import Split, Task, is_right, make_item

MAX_TOKENS = 32
N_PER_TASK = 10
FACTS = {Task.RETRIEVAL: 8, Task.COPYING: 4, Task.ARITHMETIC: 0, Task.GROUNDED: 6, Task.UNKNOWN: 6}
ITEMS = [make_item(task, Split.HELD_OUT, 7, i, n_facts=n) for task, n in FACTS.items() for i in range(N_PER_TASK)]
# Answers that are equal to the letter, at least. vLLM has the very weights, in llama.cpp's they are rounded to Q8_0.
MIN_EQUAL = {"vllm": 48, "llamacpp": 45}


def answers(engine: Running) -> list[str]:
    """In chat, as a user would ask: the engine's own template and tokenizer are part of what is compared."""
    said = []
    with Control(engine.url) as control:
        for item in ITEMS:
            body = {"model": engine.start.model.name, "temperature": 0, "max_tokens": MAX_TOKENS}
            body["messages"] = [{"role": "user", "content": item.prompt}]
            reply = control.post("/v1/chat/completions", msgspec.json.encode(body), 60)
            assert reply.status == 200, reply.body
            said.append(reply.document["choices"][0]["message"]["content"])
    return said


def n_right(said: list[str]) -> int:
    return sum(map(is_right, ITEMS, said))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What llama.cpp says with the weights as trained."""
    contract = replace(CONTRACTS["llamacpp"], model="trained-f16")
    with started(contract, tmp_path_factory.mktemp("reference")) as engine:
        return answers(engine)


def test_greedy_answers_are_those_of_the_weights_as_trained(
    engine: Running, reference: list[str], found: Found
) -> None:
    said = answers(engine)
    assert len(set(said)) > len(said) // 3, "answers that are all the same say nothing"
    differing = [(item, here, there) for item, here, there in zip(ITEMS, said, reference, strict=True) if here != there]
    for item, here, there in differing:
        print(f"{item.task} {item.index}: {here!r} here, {there!r} there, {item.answer!r} is right")
    n_equal = len(ITEMS) - len(differing)
    found(
        "greedy answers as llama.cpp with F16 weights",
        f"{n_equal} of {len(ITEMS)} equal to the letter; {n_right(said)} right, there {n_right(reference)}",
    )
    assert n_equal >= MIN_EQUAL[engine.contract.name]

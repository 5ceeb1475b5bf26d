# SPDX-License-Identifier: Apache-2.0
"""The mind that answers our own tasks: right on what it sees, honest about what was cut away, silent on all else."""

from __future__ import annotations

import pytest

from inferometer.emulate import mind, tokens
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.spoken import Style, speak
from inferometer.errors import UsageError
from inferometer.tasks import Split, Task, is_right, make_item


def shown(prompt: str) -> tuple[str, ...]:
    """Words of a prompt as an emulated engine sees them, behind its chat template."""
    return tuple(tokens.chat_text([("user", prompt)]).split())


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("task", Task)
def test_every_question_of_every_size_is_answered_right(task, split):
    for index in range(40):
        item = make_item(task, split, 1, index, n_facts=(1, 3, 9, 30)[index % 4])
        assert is_right(item, mind.answer(shown(item.prompt)) or "")
        assert mind.answer(tuple(item.prompt.split())) == mind.answer(shown(item.prompt)), "with a template or without"


@pytest.mark.parametrize("task", [Task.RETRIEVAL, Task.GROUNDED, Task.COPYING])
def test_what_was_cut_away_is_not_known(task):
    item = make_item(task, Split.HELD_OUT, 1, 0, n_facts=40, depth=0.0)
    words = shown(item.prompt)
    question = len(item.turn.question.split()) + 1
    assert mind.answer((*words[:4], *words[-question:])) == "unknown"


def test_what_is_no_question_of_ours_has_no_answer():
    assert mind.answer(("Why", "is", "the", "sky", "blue?")) is None
    assert mind.answer(()) is None
    assert mind.answer((17, 18, 19)) is None


@pytest.mark.parametrize("task", Task)
def test_other_clients_are_asked_in_the_same_words(emulated, task):
    """Through the server, streamed or whole, with the end where the engine puts it."""
    item = make_item(task, Split.HELD_OUT, 2, 7, n_facts=6)
    client = emulated("vllm", mind="reader")
    body = {"model": "emulated", "messages": [{"role": "user", "content": item.prompt}], "max_tokens": 64}
    whole = client.json("/v1/chat/completions", body)["choices"][0]
    assert is_right(item, whole["message"]["content"])
    assert whole["finish_reason"] == "stop"
    events = client.events("/v1/chat/completions", {**body, "stream": True})
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1])
    assert is_right(item, text)


def test_a_forced_length_says_the_answer_first():
    item = make_item(Task.COPYING, Split.HELD_OUT, 1, 1, n_facts=5)
    asked = {"seed": 0, "words": shown(item.prompt), "n_prompt_tokens": 20, "n_least": 0, "known": item.answer}
    for style in (Style(), Style("empty", merges=True, ends_with_mark=True)):
        free = speak(**asked, n_most=64, ends=True, style=style)
        assert free.text.removesuffix(tokens.END) == item.answer
        forced = speak(**asked, n_most=20, ends=False, style=style)
        assert forced.text.startswith(item.answer)
        assert (forced.n_output_tokens, forced.is_cut) == (20, True)
        short = speak(**asked, n_most=2, ends=True, style=style)
        assert (short.text, short.is_cut) == (" ".join(item.answer.split()[:2]), True)


def test_a_mind_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match="did you mean reader"):
        make_setting("vllm", mind="reeder")

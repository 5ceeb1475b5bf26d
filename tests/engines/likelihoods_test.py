# SPDX-License-Identifier: Apache-2.0
"""Log-probabilities as llama.cpp and vLLM tell them, from events cut down to what matters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.engines.likelihoods import likelihoods

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"


def event(logprobs):
    return json.dumps({"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": logprobs}]}).encode()


def test_a_chat_lists_each_token_with_its_rivals():
    told = event(
        {
            "content": [
                {
                    "token": " Soga",
                    "logprob": -0.1,
                    "bytes": [32, 83, 111, 103, 97],
                    "top_logprobs": [
                        {"token": " Goli", "logprob": -2.5, "bytes": [32, 71, 111, 108, 105]},
                        {"token": " Soga", "logprob": -0.1, "bytes": [32, 83, 111, 103, 97]},
                    ],
                }
            ]
        }
    )
    (found,) = likelihoods(told)
    assert found == (" Soga", -0.1, ((" Soga", -0.1), (" Goli", -2.5)))


def test_a_part_of_a_character_is_known_by_its_bytes():
    told = event({"content": [{"token": "\ufffd", "logprob": -1.0, "bytes": [240, 159], "top_logprobs": []}]})
    assert likelihoods(told)[0].token == "0xf09f"


def test_completions_have_parallel_lists():
    told = event(
        {"tokens": [" a", " b"], "token_logprobs": [-0.5, None], "top_logprobs": [{" a": -0.5, " c": -1.5}, None]}
    )
    assert likelihoods(told) == [(" a", -0.5, ((" a", -0.5), (" c", -1.5))), (" b", 0.0, ())]


def test_what_tells_none_or_is_no_answer_has_none():
    assert likelihoods(event(None)) == []
    assert likelihoods(b"[DONE]") == []
    assert likelihoods(b'{"logprobs": nonsense') == []
    assert likelihoods(b'{"choices": 3, "logprobs": 1}') == []


@pytest.mark.parametrize(
    "name",
    [
        "llama-server-0c1e570-completion-oai-token-ids-prompt",
        "vllm-0.32.0-chat-stream-logprobs",
        "vllm-0.32.0-completion-token-ids-prompt",
    ],
)
def test_real_answers_tell_every_token_with_the_likeliest_in_its_place(name):
    body = (TRANSCRIPTS / f"{name}.http").read_bytes()
    found = [each for line in body.splitlines() for each in likelihoods(line.removeprefix(b"data: "))]
    assert len(found) >= 3
    for token, logprob, top in found:
        assert token
        assert logprob < 0
        assert (token, logprob) == top[0], "greedy: it is the likeliest itself"
        assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)

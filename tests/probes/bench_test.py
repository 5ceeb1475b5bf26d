# SPDX-License-Identifier: Apache-2.0
"""The bench, with an emulated engine on it: what is asked comes back as answered, in order, and is all counted."""

from __future__ import annotations

from inferometer.config import resolve
from inferometer.plan.lengths import parse_lengths
from inferometer.probes.bench import Question

QUESTIONS = [Question(f"Question {i}: what follows?", 3 + i) for i in range(6)]


def test_answers_come_in_the_order_of_the_questions_with_their_words(on_bench):
    n_before = on_bench.n_requests
    asked = on_bench.ask("lengths", QUESTIONS, concurrency=3, forces_length=True)
    assert [answer.n_output_tokens for answer in asked.answers] == [3, 4, 5, 6, 7, 8]
    assert all(answer.is_ok and answer.text and answer.finish == "length" for answer in asked.answers)
    assert all(0 < answer.ttft_s <= answer.e2e_s for answer in asked.answers)
    assert on_bench.n_requests == n_before + 6


def test_what_was_asked_can_be_asked_again_by_anybody(on_bench):
    asked = on_bench.ask("again", QUESTIONS)
    spec = asked.run.manifest()["plan"]["input_tokens"]
    assert [(one.prompt, one.n_output_tokens) for one in parse_lengths(spec).prompts] == [
        (question.prompt, question.max_output_tokens) for question in QUESTIONS
    ]
    assert resolve({"url": on_bench.facts.url, "input_tokens": spec}).input_tokens == spec


def test_a_model_that_is_not_forced_ends_its_answers_itself(on_bench):
    questions = [Question(f"Question {i}", 1500) for i in range(4)]
    free = on_bench.ask("free", questions, concurrency=4)
    assert all(answer.finish == "stop" and answer.n_output_tokens < 1500 for answer in free.answers)
    wire = free.run.manifest()["wire"]["extras"]
    assert "ignore_eos" not in wire
    assert "stream_options" in wire or on_bench.facts.usage_in_stream


def test_a_chat_and_further_fields_reach_the_server(on_bench):
    question = Question("", 4, messages=(("system", "Be short."), ("user", "What?")))
    asked = on_bench.ask("chat", [question], body_fields={"logprobs": True})
    assert asked.answers[0].is_ok
    assert asked.run.manifest()["wire"]["extras"]["logprobs"] is True


def test_a_single_probe_has_its_words_and_is_counted(on_bench):
    n_before = on_bench.n_requests
    seen = on_bench.probe("What follows?", 5, forces_length=True)
    assert seen.text
    assert seen.n_output_tokens == 5
    assert on_bench.n_requests == n_before + 1
    assert on_bench.count("What follows?") == seen.n_prompt_tokens


def test_gauges_and_a_run_under_load(on_bench):
    run = on_bench.take("load", concurrency=2, window_s=0.5, input_tokens="32", output_tokens="8")
    assert len(run.trace().requests) > 4
    assert on_bench.gauges()["n_output_tokens"] > 8

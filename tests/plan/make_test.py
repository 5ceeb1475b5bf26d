# SPDX-License-Identifier: Apache-2.0
"""Plans: lengths times prompts times schedule, bit-equal from the same seed, with a digest that no engine moves."""

from __future__ import annotations

import pytest

from inferometer.errors import UsageError
from inferometer.plan.lengths import parse_lengths
from inferometer.plan.make import NOT_TOLD, Server, Shape, make
from inferometer.plan.request import Sampling
from inferometer.plan.schedule import closed, open_loop, parse_arrivals

from .conftest import TemplateCounter


def shape(inputs="40", outputs="16", **more):
    return Shape(parse_lengths(inputs), parse_lengths(outputs, "--output-tokens"), **more)


def server(tokenizer, **more):
    return Server(TemplateCounter(tokenizer), **more)


def made(tokenizer, inputs="40", outputs="16", *, n=20, seed=1, schedule=None, shaped=None, **more):
    schedule = schedule or closed(2, n_requests=n)
    return make(shape(inputs, outputs, **(shaped or {})), schedule, server(tokenizer, **more), n_requests=n, seed=seed)


def test_a_plan_has_the_requests_asked_for(english):
    plan = made(english, "uniform:20-60", "uniform:5-9", shaped={"sampling": Sampling(0.7, 3), "is_streamed": False})
    assert [request.id for request in plan.requests] == list(range(20))
    assert all(len(english.encode(r.prompt).ids) + 3 == r.n_prompt_tokens for r in plan.requests)
    assert {r.max_output_tokens for r in plan.requests} <= set(range(5, 10))
    assert {(r.sampling, r.is_streamed) for r in plan.requests} == {(Sampling(0.7, 3), False)}
    assert (plan.seed, plan.notes) == (1, ())
    assert plan.lengths_from == "a tokenizer of the test, every prompt counted"


def test_the_same_arguments_give_the_same_plan(english):
    one, two, other = (made(english, "normal:60,20", "uniform:5-9", seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one.digest != other.digest
    assert one.requests[0].prompt != other.requests[0].prompt


def test_lengths_of_input_and_output_are_drawn_apart(english):
    """A change of one law must not move the other, nor the arrivals."""
    one, two = made(english, "uniform:20-60", "uniform:5-9"), made(english, "uniform:20-60", "uniform:50-90")
    assert [r.n_prompt_tokens for r in one.requests] == [r.n_prompt_tokens for r in two.requests]


def test_the_digest_does_not_depend_on_the_engine(english, foreign):
    digests = {made(tokenizer, "uniform:20-60").digest for tokenizer in (english, foreign)}
    assert len(digests | {made(english, "uniform:20-60", takes_token_ids=True).digest}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": "41"},
        {"outputs": "17"},
        {"n": 21},
        {"schedule": closed(3, n_requests=20)},
        {"schedule": closed(2, n_requests=20, n_warmup=2)},
        {"schedule": open_loop(5, parse_arrivals("poisson"), seed=1, n_requests=20)},
        {"schedule": open_loop(5, parse_arrivals("poisson"), seed=2, n_requests=20)},
        {"shaped": {"n_shared": 4}},
        {"shaped": {"is_streamed": False}},
        {"shaped": {"sampling": Sampling(0.5)}},
    ],
)
def test_whatever_is_asked_moves_the_digest(english, change):
    seen = {made(english).digest, made(english, "40").digest, made(english, **change).digest}
    assert len(seen) == 2
    assert all(len(digest) == 64 for digest in seen)


def test_the_digest_of_a_pool_does_not_depend_on_its_size(english):
    timed = closed(2, for_s=10)
    small, large = (made(english, "uniform:20-60", n=n, schedule=timed) for n in (10, 30))
    assert small.digest == large.digest
    assert small.requests == large.requests[:10]


def test_the_digest_is_the_same_on_every_machine(english):
    """Changing it makes old runs incomparable: raise PLAN_VERSION when this must change."""
    plan = made(english, "uniform:20-60", schedule=open_loop(5, parse_arrivals("constant"), seed=1, n_requests=20))
    assert plan.digest == "01f84cc5c3244dcd951ed6e019ce62da5c25722878ec0e75a093df1fbbef3269"


def test_token_ids_need_no_room_for_a_template(english):
    plan = made(english, "1", takes_token_ids=True)
    assert all(isinstance(r.prompt, tuple) and len(r.prompt) == 1 for r in plan.requests)
    assert plan.lengths_from == "token ids"


# -- room -----------------------------------------------------------------------------------------------------------


def test_a_length_below_the_template_says_what_is_needed(english):
    with pytest.raises(UsageError, match=r"--input-tokens 3 leaves no room beside 3 tokens of the chat template") as e:
        made(english, "3")
    assert e.value.remedy == "ask for at least 4"
    with pytest.raises(UsageError, match="3 tokens of the chat template and 50 shared tokens") as e:
        made(english, "40", shaped={"n_shared": 50})
    assert e.value.remedy == "ask for at least 54"


def test_lengths_that_do_not_fit_the_context_are_refused_or_clipped_with_a_note(english):
    with pytest.raises(UsageError, match="200 input and 100 output tokens do not fit the context of 256"):
        made(english, "200", "100", context_tokens=256)
    plan = made(english, "uniform:100-300", "100", context_tokens=256)
    assert max(r.n_prompt_tokens for r in plan.requests) == 156
    n_clipped = sum(r.n_prompt_tokens == 156 for r in plan.requests)
    assert plan.notes == (f"{n_clipped} of 20 input lengths were clipped to what template and context allow",)
    plan = made(english, "200", "uniform:10-100", context_tokens=256)
    assert all(r.n_prompt_tokens == 200 and r.max_output_tokens <= 56 for r in plan.requests)
    with pytest.raises(UsageError, match="the context is 100"):
        made(english, "uniform:10-20", "99", context_tokens=100)


def test_draws_below_the_template_are_raised_with_a_note(english):
    plan = made(english, "uniform:1-6")
    assert min(r.n_prompt_tokens for r in plan.requests) == 4
    assert "input lengths were clipped" in plan.notes[0]


# -- prompts from a file --------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"prompt": "water river stone", "output_tokens": 7}\n'
        '{"messages": [{"role": "system", "content": "the"}, {"role": "user", "content": "water river"}]}\n'
    )
    return path


def test_prompts_of_a_file_come_in_order_and_are_counted(english, file):
    plan = made(english, f"file:{file}", "16", n=3)
    assert [r.prompt for r in plan.requests] == ["water river stone", "", "water river stone"]
    assert plan.requests[1].messages == (("system", "the"), ("user", "water river"))
    assert [r.max_output_tokens for r in plan.requests] == [7, 16, 7]
    n_first = len(english.encode("water river stone").ids) + 3
    assert [r.n_prompt_tokens for r in plan.requests] == [n_first, plan.requests[1].n_prompt_tokens, n_first]
    assert "used up to 2 times" in plan.notes[0]
    assert plan.lengths_from == "the file, counted by a tokenizer of the test"


def test_a_file_that_says_the_output_has_the_last_word(english, file, tmp_path):
    other = tmp_path / "lengths.jsonl"
    other.write_text('{"prompt": "a", "output_tokens": 30}\n{"prompt": "a", "output_tokens": 31}\n')
    plan = made(english, f"file:{file}", f"file:{other}", n=2)
    assert [r.max_output_tokens for r in plan.requests] == [30, 31]


def test_the_digest_of_a_file_is_that_of_its_texts(english, foreign, file):
    before = {made(tokenizer, f"file:{file}", n=2).digest for tokenizer in (english, foreign)}
    file.write_text(file.read_text().replace("stone", "sand"))
    assert len(before) == 1
    assert made(english, f"file:{file}", n=2).digest not in before


def test_messages_need_the_chat_api(english, file):
    with pytest.raises(UsageError, match="holds messages, which need the chat API"):
        made(english, f"file:{file}", n=2, takes_messages=False)


def test_a_server_of_token_ids_alone_needs_its_tokenizer_and_no_file(english, file):
    with pytest.raises(UsageError, match="takes nothing but token ids, and the server does not show its own"):
        made(english, "40", n=2, takes_text=False)
    with pytest.raises(UsageError, match="holds text, and this API takes nothing but token ids"):
        made(english, f"file:{file}", n=2, takes_text=False, takes_token_ids=True)
    plan = made(english, "40", n=2, takes_text=False, takes_token_ids=True)
    assert [len(request.prompt) for request in plan.requests] == [40, 40]


def test_a_shared_prefix_and_a_file_exclude_each_other(english, file):
    with pytest.raises(UsageError, match="--shared-prefix"):
        made(english, f"file:{file}", n=2, shaped={"n_shared": 3})


def test_prompts_of_a_file_are_never_sent_to_be_counted(english, file):
    counter = TemplateCounter(english, sends_requests=True)
    plan = make(shape(f"file:{file}"), closed(1, n_requests=2), Server(counter), n_requests=2, seed=1)
    assert counter.asked == []
    assert [r.n_prompt_tokens for r in plan.requests] == [NOT_TOLD, NOT_TOLD]
    assert plan.lengths_from == "the file, not counted"


def test_prompts_nobody_can_count_are_marked(file):
    class Deaf:
        source, cost_s, sends_requests = "nothing", 0.0, False

        def count(self, prompt):
            return None

        def pieces(self, text):
            return []

    plan = make(shape(f"file:{file}"), closed(1, n_requests=2), Server(Deaf()), n_requests=2, seed=1)
    assert [r.n_prompt_tokens for r in plan.requests] == [NOT_TOLD, NOT_TOLD]


def test_prompts_longer_than_the_context_are_said(english, file):
    plan = made(english, f"file:{file}", n=2, context_tokens=15)
    assert plan.notes == ("1 of 2 requests are longer than the context of 15, output included",)

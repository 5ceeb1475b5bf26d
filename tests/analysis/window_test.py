# SPDX-License-Identifier: Apache-2.0
"""The search for the longest prompt, against servers that are a function of a length."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from inferometer.analysis.window import MOST, Trial, conclude, next_size, numbers_in
from inferometer.engines.error_text import error_text

MOST_IF_TOLD = 12  # what the search is allowed where a number was told and is true


def refusing(limit, said="too long"):
    """Takes prompts of fewer tokens than `limit`."""
    return lambda n: Trial(n, "whole", n) if n < limit else Trial(n, "refused", None, 400, said)


def cutting(limit):
    """Keeps one token less than `limit`, and tells no error."""
    return lambda n: Trial(n, "whole", n) if n < limit else Trial(n, "cut", limit - 1)


def search(server, advertised=None, grain=1):
    trials = []
    while (size := next_size(advertised, trials, grain=grain)) is not None:
        trials.append(server(size - size % grain))
    return conclude(advertised, trials, grain=grain)


@pytest.mark.parametrize("advertised", [2_048, 4_096, 131_072])
def test_a_limit_that_is_told_is_verified_by_two_requests(advertised):
    found = search(refusing(advertised), advertised)
    assert (found.longest, found.is_exact, found.n_requests) == (advertised - 1, True, 2)
    assert found.beyond.n_sent == advertised


def test_a_limit_above_or_below_the_one_told_is_found_all_the_same():
    assert search(refusing(4_097), 4_096).longest == 4_096
    above = search(refusing(5_000, "the limit is 5000"), 4_096)
    assert above.longest == 4_999
    assert above.n_requests <= MOST_IF_TOLD
    below = search(cutting(1_700), 8_192)
    assert (below.longest, below.beyond.what, below.beyond.n_counted) == (1_699, "cut", 1_699)
    assert below.cuts
    assert below.n_requests <= 4


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is {limit} tokens. However, your prompt contains at least {more} tokens",
        "request ({sent} tokens) exceeds the available context size ({limit} tokens), try increasing it",
        "Input validation error: `inputs` must have less than {limit} tokens. Given: {sent}",
        '{{"code": 400, "limit": "{limit:,}"}}',
    ],
)
def test_a_number_in_a_refusal_is_enough(said):
    limit = 16_384

    def server(n):
        words = said.format(limit=limit, more=limit + 1, sent=n)
        return Trial(n, "whole", n) if n < limit else Trial(n, "refused", None, 400, words)

    found = search(server)
    assert (found.longest, found.is_exact) == (limit - 1, True)
    assert found.n_requests <= MOST_IF_TOLD


def test_without_a_word_any_limit_is_found_exactly_in_thirty_requests():
    rng = random.Random(5)
    for limit in [65, 1_024, 1_025, 200_000, 1 << 20, *(round(2 ** rng.uniform(7, 20)) for _ in range(300))]:
        found = search(refusing(limit))
        assert (found.longest, found.is_exact) == (limit - 1, True), limit
        assert found.n_requests <= MOST


def test_numbers_that_mean_something_else_cost_requests_but_no_truth():
    found = search(refusing(3_000, "error 777 at line 1203, see https://host:8080/v2/errors"))
    assert (found.longest, found.is_exact) == (2_999, True)


def test_a_server_that_gives_no_answer_is_not_asked_again():
    found = search(lambda n: Trial(n, "whole", n) if n < 3_000 else Trial(n, "lost", None, 0, "cut off"))
    assert (found.longest, found.is_exact) == (1_024, False)
    assert found.beyond.what == "lost"
    assert found.n_requests == 2


def test_one_that_takes_everything_has_no_limit_that_is_known():
    found = search(lambda n: Trial(n, "whole", n))
    assert not found.is_exact
    assert found.beyond is None
    assert (found.longest, found.why) == (1 << 22, "none was seen up to 4,194,304 tokens")


def test_a_server_that_repeats_the_length_that_was_sent_tells_nothing():
    for limit in (3_000, 90_000):
        found = search(lambda n, limit=limit: refusing(limit, f"{n} tokens are too many")(n))
        assert (found.longest, found.is_exact) == (limit - 1, True)


def test_coarse_words_find_the_limit_to_a_word():
    found = search(refusing(3_001), grain=4)
    assert found.is_exact
    assert found.longest == 3_000


@pytest.mark.parametrize("engine", ["vllm-0.32.0", "llama-server-0c1e570", "llama-cpp-python-0.3.36"])
def test_recorded_refusals_of_real_engines_name_the_limit(engine):
    """All were started with a context of 4,096 tokens, and sent 18,005."""
    path = Path(__file__).parents[1] / "transcripts" / f"{engine}-error-overlong-chat.http"
    said = error_text(path.read_bytes().partition(b"\r\n\r\n")[2])

    def server(n):
        return Trial(n, "whole", n) if n < 4_096 else Trial(n, "refused", None, 400, said)

    found = search(server)
    assert (found.longest, found.is_exact) == (4_095, True)
    assert found.n_requests <= 5


def test_numbers_are_read_with_and_without_commas_and_codes_of_errors_are_small():
    assert numbers_in("at most 32,768 tokens, not 40000; code 12", below=40_000) == [32_768]

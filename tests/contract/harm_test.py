# SPDX-License-Identifier: Apache-2.0
"""What vLLM does as it comes: the same start without our defaults, and the harm that each of them prevents.

It is a second start of vLLM, of the same folder as the first. What llama.cpp does without its defaults is in
tests/system/start_engine_test.py; llama-cpp-python is emulated (tests/emulate/runs_test.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.contract.engines import CONTRACTS, Running, started
from tests.contract.greedy_test import ITEMS, answers, n_right

from inferometer.host.control import Control
from inferometer.host.probe import probe
from inferometer.host.reset import empty
from inferometer.plan.request import Request

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

BARE = (
    *("--generation-config", "auto"),
    *("--no-enable-per-request-metrics", "--no-enable-prompt-tokens-details"),
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    contract = CONTRACTS["vllm"]
    contract = replace(contract, extra=(*contract.extra, *BARE), env=contract.env | {"VLLM_SERVER_DEV_MODE": "0"})
    with started(contract, tmp_path_factory.mktemp("bare")) as running:
        yield running


def test_settings_in_the_models_folder_change_its_answers(bare: Running) -> None:
    """With our default the very same folder answers as the weights do: the contract asks for that."""
    said = answers(bare)
    print(f"{n_right(said)} of {len(ITEMS)} right")
    assert n_right(said) < len(ITEMS) / 2, "although every request says temperature 0"


def test_it_tells_neither_its_times_nor_what_was_cached(bare: Running) -> None:
    facts = bare.ask("completions")
    speech = bare.start.engine.speaks["completions"]
    request = Request(0, tuple(range(300, 600)), 0, 4)
    encoded = speech.dialect.encode(request, facts.model, facts.extras)
    with Control(bare.url) as control:
        for _ in range(2):
            seen = probe(control, speech.dialect, facts.model, facts.extras, request)
        said = control.post(encoded.path, encoded.body).body
    assert seen.usage is not None
    assert seen.usage.n_cached_tokens is None, "the second time, most of it was"
    assert b'"usage":{' in said
    assert b"time_to_first_token_ms" not in said


def test_its_cache_cannot_be_emptied(bare: Running) -> None:
    with Control(bare.url) as control:
        assert "HTTP 404" in empty(control, bare.start.engine, None).not_emptied

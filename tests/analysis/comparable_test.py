# SPDX-License-Identifier: Apache-2.0
"""What forbids a comparison, each alone, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.analysis.comparable import differences
from inferometer.analysis.side import Side


def kinds(*sides):
    return sorted({each.kind for each in differences(sides)})


def test_runs_of_one_plan_are_comparable(side):
    assert kinds(side("A"), side("B", first_seed=11)) == []


def test_engine_version_and_settings_are_what_is_compared(side):
    other = side("B", engine={"title": "vLLM", "version": "0.32.0", "settings": {"kv_dtype": "fp8"}})
    assert kinds(side("A"), other) == []


@pytest.mark.parametrize(
    ("facts", "kind", "word"),
    [
        (
            {"plan": {"law": "closed loop, 8 in flight"}},
            "plan",
            "law closed loop, 4 in flight and closed loop, 8 in flight",
        ),
        ({"plan": {"seed": 1}}, "plan", "seed 0 and 1"),
        ({"plan": {"digest": "other"}}, "plan", "requests"),
        ({"plan": {"output_tokens": "64"}}, "plan", "output_tokens 10 and 64"),
        ({"engine": {"model": "large"}}, "model", "tiny and large"),
        ({"host": {"cpu": "another"}}, "host", "another"),
        ({"plan": {"counts_outputs_by": "tokenizer"}}, "definitions", "counts_outputs_by"),
        ({"state": "running"}, "validity", "never finished"),
    ],
)
def test_each_difference_is_found_alone(side, facts, kind, word):
    (found,) = {(each.kind, each.text) for each in differences([side("A", n=1), side("B", n=1, **facts)])}
    assert found[0] == kind
    assert word in found[1]


def test_answers_that_end_early_are_found_out(side):
    short = {"n_output_tokens": np.full(120, 9), "n_output_tokens_asked": np.full(120, 10)}
    whole = {"n_output_tokens": np.full(120, 10), "n_output_tokens_asked": np.full(120, 10)}
    (found,) = differences([side("A", **whole), side("B", **short)])
    assert (found.kind, found.text) == ("lengths", "answers of 100.0% and 90.0% of the tokens asked for")
    assert kinds(side("A", **whole), side("B", **whole)) == []


def test_an_invalid_run_is_named_with_its_reason(side, member):
    bad = member("bad", outcome=np.full(120, 11))
    assert bad.summary.verdict.level == "invalid"
    texts = [each.text for each in differences([side("A"), Side("B", (bad,))]) if each.kind == "validity"]
    assert len(texts) == 1
    assert texts[0].startswith("bad is invalid (")


def test_one_side_must_be_one_engine(side, member):
    mixed = Side("main", (member("1"), member("2", engine={"version": "b2"})))
    (found,) = differences([mixed, side("B", n=2)])
    assert (found.kind, found.text) == ("engine", "main holds llama.cpp b1 and llama.cpp b2")


def test_seeds_may_vary_if_they_do_so_on_both_sides(member):
    def seeded(title, *seeds):
        return Side(title, tuple(member(f"{title}{i}", plan={"seed": i, "digest": f"{i}"}) for i in seeds))

    assert kinds(seeded("A", 1, 2), seeded("B", 1, 2)) == []
    assert kinds(seeded("A", 1, 2), seeded("B", 1, 3)) == ["plan"]


def test_one_model_under_two_names_is_known_by_what_was_asked_for(side):
    asked = {"config": {"model": "trained"}}
    a = side("A", engine={"model": "reader.gguf"}, **asked)
    assert kinds(a, side("B", engine={"model": "/models/reader"}, **asked)) == []

# SPDX-License-Identifier: Apache-2.0
"""Twins of a length: they fit where anything does, and making them comes to an end whatever a fact counts."""

from __future__ import annotations

import zlib

import pytest

from inferometer.probes.explain.long_questions import PARTS, twins_of


def words(text):
    return len(text.split())


def uneven(text):
    """Lists of neighbouring sizes differ by up to a third, as a tokenizer's may."""
    return words(text) * (3 + zlib.crc32(text.encode()) % 2) // 3


@pytest.mark.parametrize("count", [words, uneven])
@pytest.mark.parametrize("n_tokens", [40, 130, 171, 512, 900])
def test_twins_fit_and_differ_in_one_part(count, n_tokens):
    found = twins_of(n_tokens, 2, 1, count)
    assert [twins.part for twins in found] == [part for part in PARTS for _ in range(2)]
    for twins in found:
        first, second = (question.prompt.split("\n") for question in twins.questions)
        assert twins.answers[0] != twins.answers[1]
        assert len(first) == len(second)
        differing = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
        assert 0 < len(differing) < len(first) / 4
        if n_tokens >= 512:
            assert 0.6 * n_tokens < max(count(question.prompt) for question in twins.questions) <= n_tokens

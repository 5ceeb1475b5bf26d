# SPDX-License-Identifier: Apache-2.0
"""Predicted sizes beside those of the real engine."""

from __future__ import annotations

import pytest

from inferometer.cli import known, memory_check
from inferometer.embedded.memory import check_format
from inferometer.errors import UsageError


def test_a_format_that_llamacpp_does_not_have():
    with pytest.raises(UsageError, match="fp8"):
        check_format("fp8")


def test_only_a_gguf_can_be_checked():
    with pytest.raises(UsageError, match="takes a GGUF file"):
        memory_check.check(known.model_of("Qwen3-8B"), context_tokens=None, kv_format=None)


@pytest.mark.engine
@pytest.mark.parametrize(("model", "kv_format"), [("trained", None), ("random", "q8_0"), ("random", "fp32")])
def test_the_real_engine_keeps_what_was_predicted(model, kv_format):
    pytest.importorskip("xllamacpp")
    found = memory_check.check(known.model_of(model), context_tokens=4096, kv_format=kv_format)
    assert abs(found.error_ratio) < 0.02
    assert found.weights_told == pytest.approx(found.weights_predicted, rel=0.02)
    if found.more_measured is not None:  # what else grows with the context is some percent of it
        assert 0.9 < found.more_measured / found.kv_more_told < 1.3

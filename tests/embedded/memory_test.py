# SPDX-License-Identifier: Apache-2.0
"""The engine's figures out of its log, and predicted sizes beside them on the real engine."""

from __future__ import annotations

import pytest

from inferometer.cli import known, memory_check
from inferometer.embedded.memory import check_format, read_log
from inferometer.errors import UsageError

MIB = 1024 * 1024
LOG = """
0.00.021.717 I load_tensors:   CPU_Mapped model buffer size =     4.53 MiB
0.00.021.717 I load_tensors:   CPU_REPACK model buffer size =     2.25 MiB
0.00.022.991 I llama_kv_cache:        CPU KV buffer size =    48.00 MiB
0.00.068.191 I llama_kv_cache: size =   48.00 MiB (  2048 cells,   6 layers,  4/4 seqs), K (f16):   24.00 MiB, V
0.00.072.110 I sched_reserve:        CPU compute buffer size =     7.52 MiB
"""


def test_figures_out_of_a_log():
    told = read_log(LOG)
    assert (told.kv_bytes, told.n_tokens, told.state_bytes) == (48 * MIB, 8192, 0)
    assert (told.model_bytes, told.repacked_bytes) == (6.78 * MIB, 2.25 * MIB)
    assert told.compute_bytes == pytest.approx(7.52 * MIB)


def test_two_caches_are_added():
    window = "llama_kv_cache_iswa: size =   2.00 MiB (   512 cells,   3 layers,  4/4 seqs), K (f16)"
    assert read_log(LOG + window).kv_bytes == 50 * MIB


def test_a_log_without_a_cache():
    with pytest.raises(ValueError, match="nothing of a cache"):
        read_log("loading model")


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

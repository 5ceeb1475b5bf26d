# SPDX-License-Identifier: Apache-2.0
"""What engines say of their cache: out of a log and of recorded pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.engines.cache_told import CacheTold, Sources
from inferometer.engines.llamacpp import ENGINE as LLAMACPP
from inferometer.engines.llamacpp_log import read_log
from inferometer.engines.vllm import ENGINE as VLLM

MIB = 1024 * 1024
SHARED = "/props, if each slot has a cache of its own"
LOG = """
0.00.021.717 I load_tensors:   CPU_Mapped model buffer size =     4.53 MiB
0.00.021.717 I load_tensors:   CPU_REPACK model buffer size =     2.25 MiB
0.00.022.991 I llama_kv_cache:        CPU KV buffer size =    48.00 MiB
0.00.068.191 I llama_kv_cache: size =   48.00 MiB (  2048 cells,   6 layers,  4/4 seqs), K (f16):   24.00 MiB, V
0.00.072.110 I sched_reserve:        CPU compute buffer size =     7.52 MiB
"""


def test_figures_out_of_a_log():
    told = read_log(LOG)
    assert (told.cache_bytes, told.n_tokens, told.slots, told.state_bytes) == (48 * MIB, 8192, 4, 0)
    assert (told.weights_bytes, told.copied_bytes, told.cache_format) == (6.78 * MIB, 2.25 * MIB, "fp16")
    assert told.other_bytes == pytest.approx(7.52 * MIB)


def test_two_caches_are_added():
    window = "llama_kv_cache_iswa: size =   2.00 MiB (   512 cells,   3 layers,  4/4 seqs), K (f16)"
    assert read_log(LOG + window).cache_bytes == 50 * MIB


def test_a_cache_that_all_slots_share():
    told = read_log("llama_kv_cache: size =   12.00 MiB (  2048 cells,   6 layers,  4/1 seqs), K (q8_0):    6.00 MiB")
    assert (told.n_tokens, told.slots, told.cache_format) == (2048, None, "q8_0")


def test_a_log_without_a_cache():
    assert read_log("loading model") is None


def test_llamacpp_without_a_log_says_how_many_tokens_its_slots_hold():
    props = {"total_slots": 4, "default_generation_settings": {"n_ctx": 512}}
    assert LLAMACPP.cache_told(Sources({"/props": props})) == CacheTold(SHARED, n_tokens=2048, slots=4)
    assert LLAMACPP.cache_told(Sources({"/props": props}, log=LOG)).source == "its log"
    assert LLAMACPP.cache_told(Sources()) is None


def page(name):
    return (Path(__file__).parents[1] / "transcripts" / name).read_text().split("\n\n", 1)[-1]


def test_vllm_says_it_in_the_labels_of_a_metric():
    told = VLLM.cache_told(Sources(metrics=page("vllm-0.32.0-metrics-idle.http")))
    assert (told.n_tokens, told.block_tokens, told.slots) == (16384 * 128, 128, None)
    assert told.cache_bytes == 1 << 30
    assert VLLM.cache_told(Sources(metrics="# nothing\n")) is None


def test_vllm_told_how_many_blocks_to_take_does_not_fill_the_room_that_it_names():
    told = VLLM.cache_told(Sources(metrics=page("vllm-0.32.0-metrics-after.http")))
    assert told.n_tokens is not None
    overridden = page("vllm-0.32.0-metrics-idle.http").replace(
        'num_gpu_blocks_override="None"', 'num_gpu_blocks_override="34"'
    )
    assert VLLM.cache_told(Sources(metrics=overridden)).cache_bytes is None

# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from fractions import Fraction

from inferometer.host.description import describe
from inferometer.model.kept import in_pool, in_slots

F16 = Fraction(16)


def test_slots_are_filled_from_the_start():
    architecture = describe("Llama-3.1-8B").architecture
    assert in_slots(architecture, 4, 8192, F16) == 4 * 8192 * 131_072 == in_pool(architecture, 32_768, F16)


def test_a_slot_keeps_of_a_window_the_window_and_a_batch_in_whole_blocks():
    architecture = describe("gpt-oss-20b").architecture  # 12 of 24 layers slide over 128 tokens; 2,048 B a layer
    full, window = 12 * 2048, 12 * 2048
    assert in_slots(architecture, 1, 8192, F16) == 8192 * full + 768 * window
    assert in_slots(architecture, 1, 512, F16) == 512 * (full + window)


def test_a_pool_with_windows_or_states_has_no_one_size_of_a_token():
    assert in_pool(describe("gpt-oss-20b").architecture, 1024, F16) is None
    assert in_pool(describe("Qwen3.5-27B").architecture, 1024, F16) is None

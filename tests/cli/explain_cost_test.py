# SPDX-License-Identifier: Apache-2.0
"""`explain cost` as one types it."""

from __future__ import annotations

import pytest


def test_the_answer_stands_first_and_json_says_the_same(shell):
    args = ("explain", "cost", "Llama-3.1-8B", "--device", "H100", "--price", "2")
    done = shell(*args)
    assert done.stdout.startswith("Llama-3.1-8B on H100-SXM-80GB: a stream has a token every 4.56 ms, at best\n")
    assert max(map(len, done.stdout.splitlines())) <= 100
    document = shell(*args, "--format", "json").json
    assert document["schema"] == "inferometer/cost/1"
    first = document["decoding"][0]
    assert first["least_s"] == pytest.approx((15_009_849_344 + 2048 * 131072) / 3350e9)
    assert first["bound_by"] == "weights"
    assert document["token"]["matrix_flops"] == 2 * 7_504_924_672


def test_a_device_without_a_rate(shell):
    document = shell("explain", "cost", "Qwen3-8B", "--device", "Apple M4 Pro", "--format", "json").json
    assert document["device"]["flops_per_s"] is None
    assert document["prompt"]["least_s"] is None
    assert document["compute_bound_from_sequences"] is None


def test_a_file_as_it_is_stored(shell):
    pytest.importorskip("gguf")
    document = shell("explain", "cost", "random", "--device", "L4", "--format", "json").json
    assert document["model"]["weights"] == "as stored"
    assert document["model"]["n_parameters"] == 10_882_560


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["Qwen3-8B"], ("--device",)),
        (["Qwen3.5-27B", "--device", "H200"], ("how many parameters this model has is not known", "GGUF")),
        (["Qwen3-8B", "--device", "H20"], ("did you mean H200",)),
        (["Qwen3-8B", "--device", "H200", "--tp", "5"], ("32 attention heads",)),
        (["Qwen3-8B", "--device", "H200", "--slo", "ttft<1s"], ("--slo is about a running engine",)),
        (["Qwen3-8B", "--device", "H200", "--price", "two"], ("no price per hour", "2.5/h")),
        (["http://127.0.0.1:9", "--weights", "fp8"], ("--weights", "drop it")),
        (["--engine", "vllm", "--tp", "2"], ("--tp", "--set tensor_parallel=N")),
        (["http://127.0.0.1:9", "--engine", "vllm"], ("two engines",)),
        (["http://127.0.0.1:9", "--slo", "ttft<1s"], ("--slo is about a price", "--price")),
        (["http://127.0.0.1:9", "--price", "2", "--api-price", "1"], ("two prices", "0.15,0.60")),
        (["http://127.0.0.1:9", "--budget", "1s"], ("no time",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_refusal_has_a_remedy(shell, refused, args, words):
    refused(shell("explain", "cost", *args), 2, *words)

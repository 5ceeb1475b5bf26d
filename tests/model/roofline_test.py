# SPDX-License-Identifier: Apache-2.0
"""FLOPs, bytes and floors against values worked out independently, and by hand on a model small enough to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferometer.host.description import describe, devices
from inferometer.model import flops, roofline
from inferometer.model.architecture import Experts
from inferometer.model.config import read_config
from inferometer.model.cost import CostWish, cost_picture, weights_of
from inferometer.model.devices import find
from inferometer.model.formats import WEIGHT_FORMATS, weights_bytes
from inferometer.model.roofline import Served
from inferometer.model.stored import Stored


def served(name, weights="bf16", kv_format="bf16", degree=1):
    its = describe(name).architecture
    return Served(its, its.parameters, WEIGHT_FORMATS[weights], kv_format, degree)


def device(name):
    return find(name, devices())[0]


LLAMA = describe("Llama-3.1-8B").architecture


def test_flops_of_a_token():
    assert flops.matrix_parameters(LLAMA.parameters) == 7_504_924_672
    assert flops.matrix_flops(LLAMA.parameters) == pytest.approx(15.01e9, rel=1e-3)
    at = {n: flops.attention_flops(LLAMA, n) / 1e9 for n in (1024, 8192, 131072)}
    assert at == pytest.approx({1024: 0.537, 8192: 4.29, 131072: 68.7}, rel=2e-3)
    assert flops.attention_flops(LLAMA, 28629) == pytest.approx(flops.matrix_flops(LLAMA.parameters), rel=1e-4)


def test_flops_of_a_prompt():
    whole = 1024 * flops.matrix_flops(LLAMA.parameters)
    assert whole == pytest.approx(15.37e12, rel=1e-3)
    head = 2 * LLAMA.parameters.head
    attention = flops.prefill_flops(LLAMA, LLAMA.parameters, 1024) - (whole - 1023 * head)
    assert attention == pytest.approx(0.275e12, rel=2e-3)
    assert flops.prefill_flops(LLAMA, LLAMA.parameters, 1) == flops.matrix_flops(
        LLAMA.parameters
    ) + flops.attention_flops(LLAMA, 1)


def test_a_tied_table_is_multiplied_all_the_same():
    its = describe("Qwen3-0.6B").architecture
    assert flops.matrix_parameters(its.parameters) == its.parameters.total


def test_a_prompt_longer_than_the_window():
    """Tokens 1 to 4 of a window of 2 see 1, 2, 2 and 2."""
    config = {"model_type": "mistral", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2}
    config |= {"vocab_size": 10, "intermediate_size": 4, "sliding_window": 2, "tie_word_embeddings": True}
    its = read_config(config)
    counted = its.parameters
    matrices = 2 * (counted.total - counted.embedding) * 4 + 2 * counted.embedding
    assert flops.prefill_flops(its, counted, 4) - matrices == 2 * 2 * (4 + 4) * (1 + 2 + 2 + 2)


def test_a_latent_is_attended_to_as_it_lies():
    its = describe("DeepSeek-V3").architecture
    assert flops.attention_flops(its, 100) == 61 * 128 * 2 * (576 + 512) * 100


def test_a_prompt_of_a_model_with_a_latent_is_attended_to_with_whole_heads():
    """Keys of 192 and values of 128 numbers, against 576 and 512: 32k tokens are 5.0 PFLOP, not 11.5."""
    its, n = describe("DeepSeek-V3").architecture, 32768
    matrices = flops.prefill_flops(replace(its, attention=()), its.parameters, n)
    whole = flops.prefill_flops(its, its.parameters, n)
    assert whole - matrices == 61 * 128 * 2 * (192 + 128) * (n * (n + 1) // 2)
    assert whole == pytest.approx(5.0e15, rel=0.02)


@pytest.mark.parametrize(("n_tokens", "share"), [(1, 0.0625), (16, 0.64), (64, 0.984)])
def test_experts_that_are_touched(n_tokens, share):
    assert flops.touched_share(Experts(128, 8), n_tokens) == pytest.approx(share, abs=5e-3)


RIDGES = {"A100": 153, "H100": 295, "H200": 206, "MI300X": 247, "L4": 403, "RTX 4090": 164}


@pytest.mark.parametrize(("name", "ridge"), RIDGES.items())
def test_ridge_points(name, ridge):
    assert roofline.ceilings(device(name), WEIGHT_FORMATS["bf16"]).ridge == pytest.approx(ridge, rel=5e-3)


FLOORS_MS = {"L4": 53.5, "RTX 4090": 15.9, "A100": 7.88, "H100": 4.79, "H200": 3.35, "MI300X": 3.03}


@pytest.mark.parametrize(("name", "ms"), FLOORS_MS.items())
def test_all_weights_once(name, ms):
    read_s = weights_bytes(LLAMA.parameters, WEIGHT_FORMATS["bf16"]) / (device(name).bandwidth_gb_per_s * 1e9)
    assert read_s * 1e3 == pytest.approx(ms, rel=3e-3)


@pytest.mark.parametrize(
    ("name", "degree", "a_ms", "b_ms", "d_ns"),
    [("Llama-3.1-8B", 1, 4.48, 0.0152, 39), ("Qwen3-32B", 2, 9.55, 0.0323, 39)],
)
def test_floors_of_the_iteration_law(name, degree, a_ms, b_ms, d_ns):
    """Below what TensorRT-LLM, SGLang and vLLM were measured at: 6.59 ms, 11.7 and 13.7 ms."""
    its = served(name, degree=degree)
    found = roofline.law(its, roofline.ceilings(device("H100"), WEIGHT_FORMATS["bf16"]))
    assert (found.a_s * 1e3, found.b_s * 1e3, found.d_s * 1e9) == pytest.approx((a_ms, b_ms, d_ns), rel=5e-3)


def test_what_a_step_is_bound_by():
    its, roof = served("Llama-3.1-8B"), roofline.ceilings(device("H100"), WEIGHT_FORMATS["bf16"])
    assert roofline.step(its, roof, 1, 1024).bound_by == "weights"
    assert roofline.step(its, roof, 64, 8192).bound_by == "cache"
    assert roofline.compute_bound_from(its, roof, 1) == pytest.approx(295, rel=0.02)
    assert roofline.compute_bound_from(its, roof, 8192) is None


def test_rates_of_the_format_that_is_multiplied():
    assert roofline.ceilings(device("H100"), WEIGHT_FORMATS["fp8"]).flops_per_s == 1979e12
    assert roofline.ceilings(device("A100"), WEIGHT_FORMATS["fp8"]).computed_in == "bf16"  # it has none
    assert roofline.ceilings(device("H100"), WEIGHT_FORMATS["int4"]).computed_in == "bf16"
    assert roofline.ceilings(device("B200"), WEIGHT_FORMATS["nvfp4"]).flops_per_s == 9000e12
    assert roofline.ceilings(device("RTX 4090"), WEIGHT_FORMATS["q4_k_m"]).flops_per_s == 660.6e12
    assert roofline.ceilings(device("Apple M4"), WEIGHT_FORMATS["bf16"]).flops_per_s is None


@pytest.mark.parametrize("types", [{}, {"F8_E4M3": 7_000, "BF16": 1_190}], ids=["an index", "a folder"])
def test_weights_in_fp8_are_multiplied_so_wherever_they_lie(types):
    """Qwen3-8B, 2,048 tokens on an H200: 29.7 TFLOP at 1,979 TFLOP/s."""
    its = replace(describe("Qwen3-8B").architecture, stored_as="fp8-block")
    stored = Stored(9_400_000_000, types, None)
    found = cost_picture(its, stored, device("H200"), CostWish(2048))
    assert found.served.weights.name == "as stored"
    assert found.roof.computed_in == "fp8"
    assert found.prefill_s == cost_picture(its, None, device("H200"), CostWish(2048)).prefill_s
    assert found.prefill_s == pytest.approx(15.0e-3, rel=0.02)


@pytest.mark.parametrize(
    ("types", "multiplied"),
    [
        ({"F8_E4M3": 7, "BF16": 1}, "fp8"),
        ({"BF16": 7, "F32": 1}, "bf16"),
        ({"Q4_K": 7, "Q6_K": 2, "F32": 1}, "int8"),  # llama.cpp rounds activations to 8 bits
        ({"MXFP4": 7, "BF16": 1}, "fp4"),
        ({"I32": 7, "F16": 1}, "bf16"),  # GPTQ, AWQ
    ],
)
def test_what_a_file_that_declares_nothing_is_multiplied_in(types, multiplied):
    found = weights_of(LLAMA, Stored(8_000_000_000, types, None), LLAMA.parameters, None)
    assert found.multiplied == multiplied


def test_the_least_that_requests_can_cost():
    """At 2 dollars an hour: 1,000 requests of one output token each, alone, on a device that is never idle."""
    its, roof = served("Llama-3.1-8B"), roofline.ceilings(device("H100"), WEIGHT_FORMATS["bf16"])
    found = roofline.cost_per_1000(its, roof, n_sequences=1, n_prompt=1024, n_output=1, price_per_hour=2)
    seconds = roofline.prefill_s(its, roof, 1024) + roofline.step(its, roof, 1, 1024).least_s
    assert found == pytest.approx(1000 * seconds / 3600 * 2)
